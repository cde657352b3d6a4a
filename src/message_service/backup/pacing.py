"""How fast bytes are read."""

from __future__ import annotations

import asyncio


class Pace:
    """Lets so many bytes a second pass, for all tasks together.

    Args:
        rate: Bytes per second; None for any number.
    """

    def __init__(self, rate: float | None) -> None:
        self._rate = rate
        self._free_at = 0.0

    async def spend(self, size: int) -> None:
        """Return when what was spent until now may have been spent."""
        if self._rate is None:
            return
        now = asyncio.get_running_loop().time()
        self._free_at = max(now, self._free_at) + size / self._rate
        await asyncio.sleep(self._free_at - now)
