"""Studies of SCALE: what its normalisation costs, which axis it takes, where momentum belongs."""
