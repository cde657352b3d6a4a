"""Message Service."""
