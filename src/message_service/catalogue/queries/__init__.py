"""The declared queries; `declared.QUERIES` finds every one that a file of this package defines.

Values given to `build` have been checked by the caller (ids by their grammar, enumerations by
type), and stand only where a value is compared, so none can become an operator.
"""
