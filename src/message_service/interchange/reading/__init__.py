"""Reading: from files to conversations in one form; what the formats are made of."""
