"""Search: the index of messages, what fills it, and what asks it."""
