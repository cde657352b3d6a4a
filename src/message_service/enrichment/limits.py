"""How much of a text becomes searchable."""

MAX_FORM = 100_000
"""How much of a text is searchable, in code points of its searchable form (words set apart by
spaces). Any text that can be stored fits, unless compatibility forms make it longer (the ligature
U+FDFA stands for 18 characters): then what comes after is not searched."""

MAX_TERMS = 50_000
"""How many words and pieces of a text are searchable."""
