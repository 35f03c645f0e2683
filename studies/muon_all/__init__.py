"""Studies of MuonAll: fine-tuning with one rule for every tensor."""
