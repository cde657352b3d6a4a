"""Where a prompt window begins: as early as the budget allows, and the same from turn to turn.

A window that begins with the oldest message that fits would lose its first message at every turn.
So up to an eighth of the messages that fit (in small windows up to eight, but no more than a third)
are given up: of the messages the window may begin with, it begins with the message whose place in
the conversation is the most divisible by two. That message stays the first one until it no longer
fits, or until a more divisible place comes within reach. Both ends of the choice only move forward,
so the start moves forward too, each time by at least half of what may be given up. Nothing has to
be stored, and every process makes the same choice.
"""

from __future__ import annotations

from collections.abc import Mapping


class Fitting:
    """Fits messages into a budget, newest first.

    Args:
        budget: Tokens.
        most: Messages.
        step: Begin right after a multiple of this number; None chooses as described above.
        pinned: Tokens of pinned messages, by number. They always count, inside the window or
            before it, so that the start does not depend on which are inside.
        other: Tokens of the other parts of the prompt.
    """

    def __init__(
        self,
        budget: int,
        most: int,
        *,
        step: int | None,
        pinned: Mapping[int, int],
        other: int,
    ) -> None:
        self.reserved = sum(pinned.values()) + other
        self._budget = budget
        self._most = most
        self._step = step
        self._pinned = pinned
        self._spent = self.reserved
        self._numbers: list[int] = []
        self._left_out: int | None = None

    @property
    def full(self) -> bool:
        """Whether there are messages that do not fit."""
        return self._left_out is not None

    @property
    def too_small(self) -> bool:
        """Whether the budget cannot hold the mandatory parts."""
        return self.reserved > self._budget or (self.full and not self._numbers)

    @property
    def newest(self) -> int:
        """The number of the first message taken; 0 when there is none."""
        return self._numbers[0] if self._numbers else 0

    def take(self, number: int, tokens: int) -> bool:
        """Take the next older message; return whether it fits."""
        spent = self._spent + (0 if number in self._pinned else tokens)
        if spent > self._budget or len(self._numbers) == self._most:
            self._left_out = number
            return False
        self._spent = spent
        self._numbers.append(number)
        return True

    def start(self) -> int:
        """Return the number of the window's first message; 0 when it has none."""
        if not self._numbers:
            return 0
        if self._left_out is None:
            return self._numbers[-1]
        ascending = [self._left_out, *reversed(self._numbers)]
        pairs = list(zip(ascending[1:], ascending, strict=False))
        if self._step is None:
            count = len(self._numbers)
            given_up = max(count // 8, min(8, count // 3))
            return max(pairs[: given_up + 1], key=lambda pair: _divisible(*pair))[0]
        for number, before in pairs:
            if (number - 1) // self._step > (before - 1) // self._step:
                return number
        return self._numbers[-1]


def _divisible(number: int, before: int) -> int:
    """Return how divisible by two the place between a message and the one before it is.

    Numbers on a branch have gaps, so the result is the highest power of two that has a multiple
    between the two numbers.
    """
    return ((number - 1) ^ (before - 1)).bit_length()
