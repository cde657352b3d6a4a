"""The schema engine: compares a database with the catalogue, applies it, checks and reports."""
