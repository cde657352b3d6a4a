"""Reads summaries, of one tenant or of all together."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from message_service.analytics.figures import add, read_groups
from message_service.analytics.freshness import Freshness
from message_service.analytics.metrics import DISTINCT, Values
from message_service.analytics.periods import after, cut, moments_of, period_of, periods
from message_service.analytics.results import Series, Summary, groups_of
from message_service.analytics.subjects import Subject, of_subject, subject_of
from message_service.analytics.summaries import MESSAGES
from message_service.analytics.zones import Zones
from message_service.catalogue.queries.analytics import (
    MEMBERS_OF_CONVERSATION,
    MEMBERS_OF_PERIODS,
    SUMMARIES_OF_DIMENSION,
    SUMMARIES_OF_TENANTS,
    SUMMARY_SERIES,
)
from message_service.clock import Clock
from message_service.database.store import Store
from message_service.documents.analytics import EVERY, AggregationType, Dimension
from message_service.documents.row import Row

_COUNTED = {"user": "of.user_id", "conversation": "conversation_id"}
"""What different ones are told apart by, by what is counted."""


class Reading:
    """Reads the summaries of a tenant.

    Args:
        store: The database.
        tenant_id: The tenant; `*` for all of them together.
        clock: The present moment.
    """

    def __init__(self, store: Store, tenant_id: str, clock: Clock) -> None:
        self._store = store
        self._scope = store.scope(tenant_id)
        self._zones = Zones(store)
        self._freshness = Freshness(store, tenant_id, clock)

    async def zone(self) -> ZoneInfo:
        """Return the time zone whose days the summaries have."""
        return await self._zone_of(())

    async def _zone_of(self, rows: Iterable[Row]) -> ZoneInfo:
        """Return it as summaries say it; without one, as the tenant has set it."""
        for row in rows:
            return ZoneInfo(row.get("time_zone", "UTC"))
        if self._scope.tenant_id == EVERY:
            return ZoneInfo("UTC")
        return await self._zones.of_one(self._scope.tenant_id)

    async def complete_up_to(self) -> datetime:
        """Return the moment before which all that happened to messages is summarised."""
        return await self._freshness.complete_up_to()

    async def series(
        self, subject: Subject, kind: AggregationType, since: datetime, until: datetime
    ) -> Series:
        """Return the summaries of a subject over the periods that some days lie in."""
        complete = await self.complete_up_to()
        firsts = [*periods(kind, since, until)]
        rows = await self._rows(subject, kind, firsts[0], until)
        zone = await self._zone_of(rows)
        stored = {row["date"]: row for row in rows}
        return Series(
            [
                _summary(
                    subject,
                    kind,
                    (first, after(kind, first)),
                    zone,
                    complete,
                    *_read(stored.get(first)),
                )
                for first in firsts
            ],
            complete,
        )

    async def total(self, subject: Subject, since: datetime, until: datetime) -> Summary:
        """Return the summary of a subject over a range of days, different ones counted exactly."""
        complete = await self.complete_up_to()
        values: Values = {}
        written: list[datetime] = []
        for kind, first, end in cut(since, until):
            for row in await self._rows(subject, kind, first, end):
                found = read_groups(row)
                for name in DISTINCT:
                    found.pop(name, None)
                add(values, found)
                written.append(row["updated_at"])
        if values:
            values |= await self._different(subject, since, until)
        zone = await self.zone()
        last = max(written, default=None)
        return _summary(subject, None, (since, until), zone, complete, values, last)

    async def _rows(
        self, subject: Subject, kind: AggregationType, since: datetime, until: datetime
    ) -> list[Row]:
        return await self._scope.find(
            SUMMARY_SERIES,
            conversation_id=subject.conversation_id,
            subject=subject.name,
            aggregation_type=kind.value,
            since=since,
            until=until,
        )

    async def _different(self, subject: Subject, since: datetime, until: datetime) -> Values:
        """Count the different users and conversations of a range.

        The server looks at the conversations' months, and at their days where months are not whole.
        """
        stretches = [(kind.value, first, end) for kind, first, end in cut(since, until)]
        counts = {
            name: [{"$group": {"_id": f"${_COUNTED[rule.of]}"}}, {"$count": "different"}]
            for name, rule in DISTINCT.items()
        }
        stages: list[dict[str, Any]] = [
            {"$set": {"of": {"$ifNull": ["$members", "$parts"]}}},
            {"$unwind": "$of"},
            *of_subject(subject, "of"),
            {"$facet": counts},
        ]
        if subject.dimension is Dimension.CONVERSATION:
            batches = self._scope.summarise(
                MEMBERS_OF_CONVERSATION,
                stages,
                conversation_id=subject.conversation_id,
                subject=subject.name,
                stretches=stretches,
            )
        else:
            batches = self._scope.summarise(MEMBERS_OF_PERIODS, stages, stretches=stretches)
        (row,) = [row async for batch in batches for row in batch]
        return {name: found[0]["different"] for name, found in row.items() if found}

    async def each(
        self, dimension: Dimension, kind: AggregationType, since: datetime, until: datetime
    ) -> AsyncIterator[Summary]:
        """Yield the summaries of all subjects of a dimension, by date and name."""
        complete = await self.complete_up_to()
        zone = await self.zone()
        async for row in self._scope.stream(
            SUMMARIES_OF_DIMENSION,
            dimension=dimension.value,
            aggregation_type=kind.value,
            since=period_of(kind, since),
            until=until,
        ):
            if row["message_metrics"][MESSAGES]:
                days = (row["date"], after(kind, row["date"]))
                yield _summary(subject_of(row), kind, days, zone, complete, *_read(row))

    async def tenants(
        self, kind: AggregationType, since: datetime, until: datetime
    ) -> AsyncIterator[Summary]:
        """Yield the summaries of every tenant, by date; the tenant is their key."""
        complete = await self.complete_up_to()
        zones: dict[str, ZoneInfo] = {}
        async for row in self._store.stream_everywhere(
            SUMMARIES_OF_TENANTS, kind=kind.value, since=period_of(kind, since), until=until
        ):
            if row["message_metrics"][MESSAGES]:
                tenant_id: str = row["tenant_id"]
                if tenant_id not in zones:
                    zones[tenant_id] = await self._zones.of_one(tenant_id)
                days = (row["date"], after(kind, row["date"]))
                found = _summary(
                    subject_of(row), kind, days, zones[tenant_id], complete, *_read(row)
                )
                yield replace(found, key={"tenant_id": tenant_id})


def _read(row: Row | None) -> tuple[Values, datetime | None]:
    return ({}, None) if row is None else (read_groups(row), row["updated_at"])


def _summary(
    subject: Subject,
    kind: AggregationType | None,
    days: tuple[datetime, datetime],
    zone: ZoneInfo,
    complete: datetime,
    values: Values,
    written: datetime | None,
) -> Summary:
    begins, ends = moments_of(*days, zone)
    key = dict(subject.key)
    if subject.dimension is Dimension.CONVERSATION:
        key = {"conversation_id": subject.conversation_id}
    return Summary(
        subject.dimension,
        key,
        kind,
        days[0].date(),
        days[1].date(),
        begins,
        ends,
        updated_at=written if values else None,
        complete_up_to=complete,
        **groups_of(values),
    )
