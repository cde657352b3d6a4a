"""The scale of readers' ratings."""

from __future__ import annotations

_THUMBS = {"up": 1.0, "down": 0.0}
_STARS = {"1": 0.0, "2": 0.25, "3": 0.5, "4": 0.75, "5": 1.0}
_SATISFACTION = {**_THUMBS, **_STARS}


def satisfaction(rating: str) -> float | None:
    """Return what a rating (`up`, `down`, `1` to `5`) means on the scale from 0 to 1.

    The result is None for anything that is not a rating.
    """
    return _SATISFACTION.get(rating)
