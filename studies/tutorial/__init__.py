"""Studies of the Muon tutorial: what it states, measured on small networks with seeds."""
