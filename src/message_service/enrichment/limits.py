"""Limits on the searchable part of a text."""

MAX_FORM = 100_000
"""Maximum length of the searchable form of a text (words separated by spaces), in code points. Any
text that can be stored fits, unless compatibility forms make it longer (the ligature U+FDFA becomes
18 characters); the text beyond the limit is not searchable."""

MAX_TERMS = 50_000
"""Maximum number of searchable words and pieces of a text."""
