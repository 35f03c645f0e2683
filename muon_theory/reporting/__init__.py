"""What surrounds a study: engine, tables, provenance, style."""
