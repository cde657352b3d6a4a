"""Computing the cost of a period again, after prices have changed or become known.

A message keeps what was billed first. A message whose cost stays as it is is not written, so a run
that was killed is continued by running it again, and a second run changes nothing. Every message
that changes is marked for its followers: the counters and summaries of its day are due.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from message_service import errors
from message_service.catalogue.follower import BACKLOG, USAGE_REVISION
from message_service.catalogue.marks import marked
from message_service.catalogue.queries.messages import MESSAGE_AT_USAGE
from message_service.catalogue.queries.usage import USAGE_OF_PERIOD
from message_service.clock import Clock
from message_service.database.decimals import decimal
from message_service.database.scope import Scope
from message_service.documents.row import Row
from message_service.documents.token_usage import CostState
from message_service.stopping import StopSignal
from message_service.usage.price_book import PriceBook
from message_service.usage.provider_prices import ProviderPrices
from message_service.usage.recording import COSTS, cost_fields, revised, stored_usage
from message_service.usage.tiers import STANDARD, provider_of

_BATCH = 1_000
_ATTEMPTS = 10
_MOST_MODELS = 1_000
_OTHERS = "other models"

_Place = tuple[datetime, Any]
"""Where a batch ends: the moment of its last message, and its `_id`."""

_COST_FIELDS = (*COSTS, "cost_currency", "cost_state", "priced_at")


@dataclass(slots=True)
class ModelChange:
    """What a recomputation changes for one model.

    Attributes:
        messages: Messages whose cost changes.
        before: Their cost so far, by currency; unpriced ones are not in it.
        after: Their cost now, by currency.
    """

    messages: int = 0
    before: dict[str, Decimal] = field(default_factory=dict[str, Decimal])
    after: dict[str, Decimal] = field(default_factory=dict[str, Decimal])


@dataclass(slots=True)
class Recosted:
    """What a recomputation did, or would do.

    Attributes:
        examined: Messages with usage that were looked at.
        changed: Messages whose cost is another now.
        unchanged: Messages whose cost stays.
        given: Messages whose cost a caller gave; they stay.
        unpriced: Messages that still have no price; they are in `changed` or `unchanged` too.
        models: What changes, by `provider/model`.
        finished: Whether the whole period was done.
    """

    examined: int = 0
    changed: int = 0
    unchanged: int = 0
    given: int = 0
    unpriced: int = 0
    models: dict[str, ModelChange] = field(default_factory=dict[str, ModelChange])
    finished: bool = False


@dataclass(frozen=True, slots=True)
class _Wanted:
    since: datetime
    until: datetime
    provider: str | None
    model: str | None

    def has(self, provider: str | None, model: str | None) -> bool:
        return (self.provider is None or self.provider == provider) and (
            self.model is None or self.model == model
        )


@dataclass(frozen=True, slots=True)
class _Change:
    """The new figures of one message."""

    message: Row
    update: Mapping[str, Any]

    def guarded(self, due: Row) -> tuple[Row, Row]:
        """Return where it goes and the update, with the marks that are due."""
        where = {
            "conversation_id": self.message["conversation_id"],
            "message_id": self.message["message_id"],
            "usage_revision": self.message["token_usage"].get("revision"),
        }
        return where, {**self.update, "$min": due}


class Recost:
    """Recomputes costs of one tenant.

    Args:
        scope: The tenant's scope.
        book: What tokens cost.
        clock: The present moment.
    """

    def __init__(self, scope: Scope, book: PriceBook, clock: Clock) -> None:
        self._scope = scope
        self._book = book
        self._clock = clock

    async def run(
        self,
        since: datetime,
        until: datetime,
        provider: str | None,
        model: str | None,
        *,
        dry_run: bool,
        stop: StopSignal,
    ) -> Recosted:
        """Recompute the messages of a period; see `Usage.recost`."""
        wanted = _Wanted(since, until, provider_of(provider), model)
        prices: dict[str, ProviderPrices] = {}
        done = Recosted()
        writing: asyncio.Task[None] | None = None
        after: _Place | None = None
        try:
            while not stop.requested:
                rows = await self._read(wanted, after, prices)
                changes = _decided(rows, wanted, prices, done)
                if writing is not None:  # the last batch was written while this one was read
                    await writing
                    writing = None
                if changes and not dry_run:
                    writing = asyncio.create_task(self._write(wanted, after, prices, changes))
                if len(rows) < _BATCH:
                    done.finished = True
                    break
                after = (rows[-1]["timestamps"]["created_at"], rows[-1]["_id"])
        finally:
            if writing is not None:
                await writing
        return done

    async def _read(
        self, wanted: _Wanted, after: _Place | None, prices: dict[str, ProviderPrices]
    ) -> list[Row]:
        """Return a batch of messages; also read the prices of providers that are new in it."""
        rows = await self._scope.find(
            USAGE_OF_PERIOD,
            limit=_BATCH,
            committed=True,
            since=wanted.since,
            until=wanted.until,
            after=after,
        )
        for row in rows:
            llm: Row = row.get("llm_metadata") or {}
            provider = provider_of(llm.get("provider"))
            if provider is not None and provider not in prices:  # each once: all is priced alike
                tenant_id = self._scope.tenant_id
                prices[provider] = await self._book.of(tenant_id, provider, fresh=True)
        return rows

    async def _write(
        self,
        wanted: _Wanted,
        after: _Place | None,
        prices: dict[str, ProviderPrices],
        changes: Sequence[_Change],
    ) -> None:
        """Write a batch; messages whose figures others changed meanwhile are decided anew.

        Raises:
            VersionConflict: Others change them all the time.
        """
        for _ in range(_ATTEMPTS):
            due = marked(self._clock.now(), BACKLOG, changed=USAGE_REVISION)
            found = await self._scope.update_each(
                MESSAGE_AT_USAGE, [change.guarded(due) for change in changes]
            )
            if found == len(changes):
                return
            changes = _decided(await self._read(wanted, after, prices), wanted, prices, Recosted())
            if not changes:
                return
        raise errors.VersionConflict("usage of the period is being changed by others all the time")


def _decided(
    rows: Sequence[Row],
    wanted: _Wanted,
    prices: Mapping[str, ProviderPrices],
    done: Recosted,
) -> list[_Change]:
    return [change for row in rows if (change := _decide(row, wanted, prices, done))]


def _decide(
    message: Row, wanted: _Wanted, prices: Mapping[str, ProviderPrices], done: Recosted
) -> _Change | None:
    """Return the new figures of a message, or None when they stay; count it."""
    llm: Row = message.get("llm_metadata") or {}
    provider, model = provider_of(llm.get("provider")), llm.get("model")
    if not wanted.has(provider, model):
        return None
    stored: Row = message["token_usage"]
    done.examined += 1
    state = stored.get("cost_state")
    if state == CostState.GIVEN or (state is None and stored.get("total_cost") is not None):
        done.given += 1
        return None
    usage = stored_usage(stored)
    tier = stored.get("billing_tier") or STANDARD
    created_at = message["timestamps"]["created_at"]
    cost = cost_fields(usage, model, tier, created_at, prices.get(provider or ""))
    done.unpriced += cost.get("cost_state") == CostState.UNPRICED
    if state is not None and _same(stored, cost):
        done.unchanged += 1
        return None
    kept = {name: value for name, value in stored.items() if name not in _COST_FIELDS}
    fields = revised(stored, kept | cost)
    if "usage_state" not in stored:  # from before there were states and classes
        fields["usage_state"] = usage.state.value
        fields["classes"] = {kind.value: count for kind, count in usage.counts.items()}
    _note(done, f"{provider}/{model}", stored, cost)
    written = (*_COST_FIELDS, "usage_state", "classes", "first_billed", "revision")
    new = {f"token_usage.{name}": fields[name] for name in written if name in fields}
    gone = {f"token_usage.{n}": "" for n in _COST_FIELDS if n in stored and n not in fields}
    return _Change(message, {"$set": new, **({"$unset": gone} if gone else {})})


def _same(stored: Row, cost: Row) -> bool:
    return (
        stored.get("cost_state") == cost.get("cost_state")
        and stored.get("cost_currency") == cost.get("cost_currency")
        and all(decimal(stored.get(name)) == decimal(cost.get(name)) for name in COSTS)
    )


def _note(done: Recosted, model: str, stored: Row, cost: Row) -> None:
    done.changed += 1
    if model not in done.models and len(done.models) >= _MOST_MODELS:
        model = _OTHERS
    change = done.models.setdefault(model, ModelChange())
    change.messages += 1
    for sums, fields in ((change.before, stored), (change.after, cost)):
        if fields.get("total_cost") is not None:
            currency = fields["cost_currency"]
            sums[currency] = sums.get(currency, Decimal(0)) + decimal(fields["total_cost"])
