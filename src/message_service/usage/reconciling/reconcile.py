"""Reconciling one tenant's messages with a provider's usage export."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

from message_service import errors
from message_service.catalogue.queries.usage import USAGE_OF_DAY
from message_service.database.scope import Scope
from message_service.documents.row import Row
from message_service.usage.reconciling.comparing import (
    Agreement,
    ComparedUsage,
    Place,
    Reconciliation,
    compare,
    measured,
    names_of,
)
from message_service.usage.reconciling.export import Export
from message_service.usage.reconciling.export_file import read_export
from message_service.usage.reconciling.suspects import Suspects
from message_service.usage.reporting.report import Reporting
from message_service.usage.tiers import provider_of

_DAY = timedelta(days=1)
_NO_MODEL = "(no model)"


class Reconcile:
    """Compares exports with one tenant's messages.

    Args:
        scope: The tenant's scope.
        reporting: The tenant's reports.
    """

    def __init__(self, scope: Scope, reporting: Reporting) -> None:
        self._scope = scope
        self._reporting = reporting

    async def run(
        self,
        file: Path,
        since: datetime | None,
        until: datetime | None,
        ignored: Sequence[str],
        most: int,
    ) -> Reconciliation:
        """Compare an export; see `Usage.reconcile`."""
        export = await asyncio.to_thread(read_export, file, ignored)
        first = export.since if since is None else since.date()
        after = export.until if until is None else (until - timedelta(milliseconds=1)).date() + _DAY
        if max(first, export.since) >= min(after, export.until):
            raise errors.InvalidInput(
                "until" if since is None else "since",
                f"leaves nothing to compare: the file is from {export.since} to {export.until}",
                "Choose days of the file",
            )
        told = {place: known for place, known in export.told.items() if first <= place[0] < after}
        here = await self._here(export, first, after)
        names = names_of((model for _, model in here), (model for _, model in told))
        rows = compare(here, told, names)
        rows = await self._explained(export, rows, names, most)
        return Reconciliation(export.shape.provider, export.shape.name, first, after, tuple(rows))

    async def _here(
        self, export: Export, first: date, after: date
    ) -> dict[Place, tuple[Mapping[str, int], int]]:
        here: dict[Place, tuple[Mapping[str, int], int]] = {}
        report = self._reporting.report(
            _midnight(first), _midnight(after), ("day", "provider", "model"), detailed=True
        )
        async for row in report:
            day, model = row.key["day"], row.key["model"]
            if row.key["provider"] != export.shape.provider or not row.with_usage:
                continue
            if isinstance(day, date):
                place = (day, _plain(model))
                counts, messages = here.get(place, ({}, 0))
                here[place] = (
                    {name: counts.get(name, 0) + more for name, more in measured(row).items()},
                    messages + row.with_usage,
                )
        return here

    async def _explained(
        self, export: Export, rows: Sequence[ComparedUsage], names: Mapping[str, str], most: int
    ) -> list[ComparedUsage]:
        """Return rows with suspects where they do not match and there are messages."""
        found = {(row.day, row.model): row for row in rows}
        for day in sorted({row.day for row in rows if row.messages and _differs(row)}):
            suspects = {
                row.model: Suspects(row, most)
                for row in rows
                if row.day == day and row.messages and _differs(row)
            }
            async for message in self._messages(day):
                llm: Row = message.get("llm_metadata") or {}
                model = _plain(llm.get("model"))
                if provider_of(llm.get("provider")) == export.shape.provider:
                    known = suspects.get(names.get(model, model))
                    if known is not None:
                        known.look_at(message)
            found |= {(day, model): known.found() for model, known in suspects.items()}
        return [found[row.day, row.model] for row in rows]

    def _messages(self, day: date) -> AsyncIterator[Row]:
        return self._scope.stream(USAGE_OF_DAY, since=_midnight(day), until=_midnight(day + _DAY))


def _differs(row: ComparedUsage) -> bool:
    return row.agreement is not Agreement.MATCH


def _plain(model: object) -> str:
    return model.strip().lower() if isinstance(model, str) else _NO_MODEL


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
