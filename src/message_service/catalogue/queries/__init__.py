"""The declared queries; `declared.QUERIES` finds every query in the files of this package.

Callers check the values for `build` (ids by their grammar, enumerations by type). A value is only
compared, so it cannot become an operator.
"""
