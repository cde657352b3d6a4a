"""Values derived from a message's text, by versioned pure functions."""
