"""Amounts of money for people: the only place where any is rounded."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal, localcontext


def shown(amount: Decimal | None, places: int | None = None) -> str:
    """Return an amount as text, without an exponent.

    Args:
        amount: The amount; None is shown as `-`.
        places: Decimal places to round to, half to even (as banks do); None shows all digits.
    """
    if amount is None:
        return "-"
    with localcontext() as context:
        context.prec = 60
        if places is None:
            return format(amount.normalize(), "f")
        rounded = amount.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_EVEN)
        return format(rounded, ",f")
