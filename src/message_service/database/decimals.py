"""Exact numbers on their way to and from BSON.

The driver converts `Decimal` only by hand, and slowly; both directions are on the path of appends.
"""

from __future__ import annotations

from decimal import Context, Decimal

from bson import Decimal128

_BIAS = 6176
_HIGHEST = 6111
_DIGITS = 34
_WIDE = Context(prec=40, Emin=-9_999, Emax=9_999)
_SUMS = Context(prec=100, Emin=-9_999, Emax=9_999)


def exact(value: Decimal) -> Decimal128:
    """Return a finite number as BSON stores it, digit for digit.

    Raises:
        ValueError: It has more digits than fit (34), or is no such number.
    """
    sign, digits, exponent = value.as_tuple()
    if isinstance(exponent, int):
        while len(digits) > _DIGITS and digits[-1] == 0:
            digits, exponent = digits[:-1], exponent + 1
    if not isinstance(exponent, int) or len(digits) > _DIGITS or not -_BIAS <= exponent <= _HIGHEST:
        raise ValueError(f"{value} has no exact form in BSON")
    # IEEE 754-2008 decimal128 with a binary integer significand: below 2^113, the exponent stands
    # in the bits above it.
    coefficient = abs(int(_WIDE.scaleb(value, -exponent)))
    bits = sign << 127 | (exponent + _BIAS) << 113 | coefficient
    return Decimal128.from_bid(bits.to_bytes(16, "little"))


def plus(first: Decimal, second: Decimal) -> Decimal:
    """Return a sum, digit for digit; Python's own has 28 digits only."""
    return _SUMS.add(first, second)


def decimal(value: Decimal128 | float | None) -> Decimal:
    """Return a stored number as `Decimal`; a missing one is 0.

    Doubles, which only foreign writers store, are taken by their shortest text.
    """
    if value is None:
        return Decimal(0)
    return value.to_decimal() if isinstance(value, Decimal128) else Decimal(repr(value))
