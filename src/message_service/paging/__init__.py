"""Pages of listings: their type, cursors and size limit."""
