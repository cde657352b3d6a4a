"""The declared collections and views, one file each; `declared.CATALOGUE` finds them here."""
