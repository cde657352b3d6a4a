"""A usage report as a table for people: rounded, without columns of zeros, with a total."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence

from message_service.cli.context import console, print_table
from message_service.usage.money import shown
from message_service.usage.reporting.rows import UsageRow, added

_MOST_SHOWN = 1_000
_PLACES = 6
_DOUBTS = ("unknown", "inconsistent", "estimated", "unpriced")


class UsageTable:
    """Takes rows in, and prints them.

    Args:
        names: The dimensions.
        title: Its title.
        detailed: Whether to show the sides of a call, and the classes of tokens.
    """

    def __init__(self, names: Sequence[str], title: str, *, detailed: bool) -> None:
        self._names = names
        self._title = title
        self._detailed = detailed
        self._rows: list[UsageRow] = []
        self._count = 0
        self._total: UsageRow | None = None

    async def take(self, rows: AsyncIterator[UsageRow]) -> int:
        """Take all rows in, of which the first 1,000 are shown, and return how many they are."""
        async for row in rows:
            self._count += 1
            if self._count <= _MOST_SHOWN:
                self._rows.append(row)
            self._total = row if self._total is None else added(self._total, row)
        return self._count

    def print(self) -> None:
        """Print the table."""
        if self._total is None:
            console.print(f"no messages ({self._title})", markup=False, highlight=False)
            return
        total = self._total
        columns: dict[str, Callable[[UsageRow], str]] = {
            "messages": lambda row: f"{row.messages:,}",
            "with usage": lambda row: f"{row.with_usage:,}",
            "tokens": lambda row: f"{row.total_tokens:,}",
            "cost": _costs,
        }
        if self._detailed:
            columns |= {"classes": _classes}
        if _doubts(total):
            columns |= {"of these": _doubts}
        lines = [
            (
                *("-" if value is None else value for value in row.key.values()),
                *_cells(row, columns),
            )
            for row in self._rows
        ]
        if self._count > 1:
            places = ["total", *[""] * (len(self._names) - 1)]
            lines.append((*places, *_cells(total, columns)))
        print_table(self._title, (*self._names, *columns), lines)
        if left := self._count - len(self._rows):
            console.print(
                f"{left:,} more rows: use --top, or --format csv --output FILE", markup=False
            )


def _cells(row: UsageRow, columns: Mapping[str, Callable[[UsageRow], str]]) -> list[str]:
    """Return what stands in a row's columns."""
    return [show(row) for show in columns.values()]


def _costs(row: UsageRow) -> str:
    parts = (f"{shown(spent.total, _PLACES)} {unit}" for unit, spent in row.costs.items())
    return " + ".join(parts) or "-"


def _classes(row: UsageRow) -> str:
    return "\n".join(f"{count:,} {kind}" for kind, count in (row.classes or {}).items())


def _doubts(row: UsageRow) -> str:
    return ", ".join(f"{count:,} {name}" for name in _DOUBTS if (count := getattr(row, name)))
