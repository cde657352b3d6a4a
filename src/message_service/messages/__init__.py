"""Messages and conversations: append, read, change, branch."""
