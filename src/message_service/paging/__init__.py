"""Pages of any listing: their type, their cursors, and how large they may be."""
