"""Studies: one file answers one question with a tidy table and a figure."""
