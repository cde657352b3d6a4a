"""Reading counts from a provider's usage block."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from message_service import errors

MOST_TOKENS = 1_000_000_000
"""Most tokens of one figure; a thousand times the largest context there is."""

_NOTHING: Mapping[str, Any] = {}


class Block:
    """A usage block as a provider sent it, or a block inside of one.

    Args:
        values: The block.
        provider: The provider's canonical name, if known.
        path: Where it is, for errors; empty for the outermost.

    Attributes:
        provider: The same.
        problems: What does not add up, as far as it was read.
    """

    __slots__ = ("_path", "_values", "problems", "provider")

    def __init__(
        self, values: Mapping[str, Any], provider: str | None = None, path: str = ""
    ) -> None:
        self._values = values
        self._path = path
        self.provider = provider
        self.problems: list[str] = []

    def has(self, *names: str) -> bool:
        """Whether the block has one of these fields, whatever its value."""
        return not self._values.keys().isdisjoint(names)

    def inside(self, name: str) -> Block:
        """Return the block inside of this one; an empty one when there is none."""
        found: object = self._values.get(name)
        if type(found) is not dict and not isinstance(found, Mapping):
            found = _NOTHING
        return Block(cast("Mapping[str, Any]", found), self.provider, f"{self._path}{name}.")

    def count(self, *names: str) -> int | None:
        """Return the first of several counts that the block has; None for none, or null.

        Raises:
            InvalidInput: It is no whole number of tokens, or an absurd one.
        """
        for name in names:
            value = self._values.get(name)
            if value is None:
                continue
            if type(value) is int and 0 <= value <= MOST_TOKENS:  # nearly always
                return value
            return checked_count(f"{self._path}{name}", value)
        return None

    def text(self, name: str) -> str | None:
        """Return a text, or None when the block has none of that name."""
        value = self._values.get(name)
        return value if isinstance(value, str) and value else None

    def flag(self, name: str) -> bool:
        """Whether the block says a thing is so."""
        return self._values.get(name) is True

    def names(self) -> Sequence[str]:
        """Return the names of its fields."""
        return tuple(self._values)

    def listed(self, name: str, key: str, count: str) -> dict[str, int]:
        """Return the counts in a list such as `[{"modality": "AUDIO", "tokenCount": 3}]`.

        Args:
            name: The list.
            key: The field that says what is counted.
            count: The field with the count.
        """
        found: dict[str, int] = {}
        items: object = self._values.get(name)
        if not isinstance(items, (list, tuple)):
            return found
        for item in cast("Sequence[object]", items):
            if isinstance(item, Mapping):
                values = cast("Mapping[str, object]", item)
                kind, number = str(values.get(key)), values.get(count)
                if number is not None:
                    found[kind] = found.get(kind, 0) + checked_count(f"{name}.{count}", number)
        return found

    def differ(self, said: str, value: int | None, expected: int) -> None:
        """Note a problem if a figure is there and is not what the others add up to."""
        if value is not None and value != expected:
            self.problems.append(f"{said} is {value:,}, the parts add up to {expected:,}")

    def within(self, part: str, value: int, whole: str, most: int) -> int:
        """Return a part that cannot be more than its whole; note a problem if it is."""
        if value <= most:
            return value
        self.problems.append(f"{part} ({value:,}) exceed {whole} ({most:,})")
        return most


def checked_count(field: str, value: object) -> int:
    """Return a count of tokens.

    Raises:
        InvalidInput: It is no whole number from 0 to a thousand million.
    """
    if isinstance(value, float) and value.is_integer():
        value = int(value)  # some JSON writers know no integers
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MOST_TOKENS:
        raise errors.InvalidInput(
            f"usage.{field}",
            "is not a count of tokens",
            f"Give a whole number from 0 to {MOST_TOKENS:,}",
        )
    return value
