"""What surrounds a study and a claim: the engine its cells run on, tables, provenance, figure style, checks."""
