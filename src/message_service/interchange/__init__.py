"""Import and export: one reader or writer per format."""
