"""Training on real data: what the spectra do, what the theory says of it, and which parts of Muon the result needs."""
