"""How fast is read, so that others are served meanwhile."""

from __future__ import annotations

import asyncio

LONGEST_REST = 1.0
"""Most seconds of rest between two reads."""


class Pace:
    """Lets so many bytes a second pass, and rests between two reads.

    Args:
        rate: Bytes per second, of all tasks together; None for any number.
        share: The share of the time that is read; the server has the rest for others.
    """

    def __init__(self, rate: float | None, share: float) -> None:
        self._rate = rate
        self._share = share
        self._free_at = 0.0

    async def spend(self, size: int, seconds: float) -> None:
        """Return when the next read may begin.

        Args:
            size: Bytes that were read.
            seconds: How long that took.
        """
        now = asyncio.get_running_loop().time()
        rest = min(LONGEST_REST, seconds * (1 - self._share) / self._share)
        if self._rate is not None:
            self._free_at = max(now, self._free_at) + size / self._rate
            rest = max(rest, self._free_at - now)
        if rest > 0:
            await asyncio.sleep(rest)
