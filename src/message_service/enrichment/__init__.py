"""What is worked out from a message's text: pure functions, versioned."""
