"""The declared followers of messages, one file each; `declared.FOLLOWERS` finds them here."""
