"""Whatever happens to messages and prices: what was spent is the sum of the messages."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo.asynchronous.database import AsyncDatabase

from message_service import MessageService, Tenant, errors
from message_service.database.decimals import decimal
from message_service.documents.row import Row
from message_service.documents.usage_counter import Period
from message_service.usage.counters import Counter
from message_service.usage.counting import UsageCounting
from message_service.usage.periods import bounds

# Each example has a tenant of its own, so sharing the service is sound.
patient = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

USERS = ["user_000000000001", "user_000000000002"]
LUNA = "char_000000000001"
TENANTS = itertools.count()

tokens = st.integers(0, 9_000_000)
blocks = st.one_of(
    st.just({}),
    st.builds(lambda used, made: {"input": used, "output": made}, tokens, tokens),
    st.builds(
        lambda used, made: {"prompt_tokens": used, "completion_tokens": made, "total_tokens": 7},
        tokens,
        tokens,
    ),
)
places = st.integers(0, 50)
currencies = st.sampled_from(["USD", "EUR"])
operations = st.lists(
    st.one_of(
        st.tuples(
            st.just("append"),
            blocks,
            st.sampled_from(USERS),
            st.booleans(),
            st.sampled_from(["m", "m", "unpriced"]),
            st.sampled_from([0, 0, 0, 1, 24 * 40]),
        ),
        st.tuples(st.just("record"), places, blocks),
        st.tuples(st.just("give"), places, st.sampled_from(["1", "2.5"]), currencies),
        st.tuples(st.just("edit"), places),
        st.tuples(st.just("delete"), places),
        st.tuples(st.just("price"), st.integers(0, 99)),
        st.tuples(st.just("recost")),
        st.tuples(st.just("count"), st.sampled_from(["", "half", "written", "written", "noted"])),
        st.tuples(st.just("count"), st.just("written")),
        st.tuples(st.just("at once"), places, blocks),
    ),
    min_size=1,
    max_size=25,
)  # fmt: skip


class Cut(Exception):
    """The process that counts is killed here."""


class CutShort(UsageCounting):
    """Counts, and is killed at a given place."""

    where = ""

    async def _write(self, counters: Iterable[Counter]) -> bool:
        several = list(counters)
        written = await super()._write(several[::2] if self.where == "half" else several)
        if self.where in ("half", "written"):
            raise Cut
        return written

    async def _drop(self, noted: Sequence[Row]) -> None:
        if self.where == "noted":
            raise Cut
        await super()._drop(noted)


class Run:
    """Carries operations out."""

    def __init__(self, service: MessageService, tenant: Tenant, directory: Path) -> None:
        self.service = service
        self.tenant = tenant
        self.directory = directory
        self.conversation = ""
        self.ids: list[str] = []

    async def begin(self) -> None:
        self.conversation = (
            await self.tenant.conversations.create(USERS[0], character_id=LUNA)
        ).conversation_id
        await self.load(1)
        for whom in ({"user_id": "*"}, {"character_id": LUNA}, {}):
            for unit in ("USD", "EUR", "tokens"):
                await self.tenant.usage.budgets.set(1, unit=unit, **whom)  # type: ignore[arg-type]

    async def load(self, amount: int) -> None:
        path = self.directory / f"{self.tenant.tenant_id}.toml"
        path.write_text(
            '[[price]]\nprovider = "mine"\nmodel = "m"\n'
            f"input = 0.{amount:02}\noutput = 1.0{amount:02}\n"
        )
        await self.tenant.prices.load(path)

    def at(self, place: int) -> str:
        return self.ids[place % len(self.ids)]

    async def do(self, operation: tuple[Any, ...]) -> None:
        messages, conversation = self.tenant.messages, self.conversation
        match operation:
            case ("append", block, user, with_character, model, hours):
                done = await messages.append(
                    conversation,
                    "assistant",
                    "x",
                    usage=block,
                    user_id=user,
                    character_id=LUNA if with_character else None,
                    llm_metadata={"provider": "mine", "model": model},
                    created_at=datetime.now(UTC) - timedelta(hours=hours),
                )
                self.ids.append(done.message_id)
            case ("price", amount):
                await self.load(amount)
            case ("recost",):
                now = datetime.now(UTC)
                await self.tenant.usage.recost(now - timedelta(days=100), now + timedelta(days=1))
            case ("count", where):
                await self.count(where)
            case ("record", place, block) if self.ids:
                await messages.record_usage(conversation, self.at(place), block)
            case ("give", place, cost, currency) if self.ids:
                given = {"total_cost": cost, "cost_currency": currency, "total_tokens": 3}
                await messages.record_usage(conversation, self.at(place), None, token_usage=given)
            case ("edit", place) if self.ids:
                with contextlib.suppress(errors.Conflict):  # it is deleted
                    await messages.edit(conversation, self.at(place), f"text {place}")
            case ("delete", place) if self.ids:
                await messages.delete(conversation, self.at(place))
            case ("at once", place, block) if self.ids:
                await asyncio.gather(
                    messages.record_usage(conversation, self.at(place), block),
                    self.count(""),
                    self.count("written"),
                    self.do(("recost",)),
                )
            case _:
                pass

    async def count(self, where: str) -> None:
        counting = CutShort(self.service.store, poll=1)
        counting.where = where
        with contextlib.suppress(Cut):
            while await counting.step():
                pass


async def summed(database: AsyncDatabase[Row], tenant_id: str) -> dict[tuple[str, str], Decimal]:
    """Return what the messages of this month say, by subject and unit."""
    since, until = bounds(Period.MONTH, datetime.now(UTC))
    found: dict[tuple[str, str], Decimal] = {}
    async for row in database["messages"].find({"tenant_id": tenant_id}):
        if not since <= row["timestamps"]["created_at"] < until:
            continue
        fields = row["token_usage"]
        subjects = [f"tenant:{tenant_id}", f"user:{row['user_id']}", f"character:{LUNA}"]
        for subject in subjects:
            if subject.startswith("character") and row.get("character_id") != LUNA:
                continue
            used = Decimal(fields.get("total_tokens", 0))
            found[subject, "tokens"] = found.get((subject, "tokens"), Decimal(0)) + used
            if "total_cost" in fields:
                key = (subject, fields["cost_currency"])
                found[key] = found.get(key, Decimal(0)) + decimal(fields["total_cost"])
    return found


async def states_of(database: AsyncDatabase[Row], tenant_id: str) -> tuple[int, int, int]:
    """Return how many messages of this month are unknown, inconsistent and unpriced."""
    since, until = bounds(Period.MONTH, datetime.now(UTC))
    period = {"tenant_id": tenant_id, "timestamps.created_at": {"$gte": since, "$lt": until}}
    fields = [row["token_usage"] async for row in database["messages"].find(period)]
    return (
        sum(each["usage_state"] == "unknown" for each in fields),
        sum(each["usage_state"] == "inconsistent" for each in fields),
        sum(each.get("cost_state") == "unpriced" for each in fields),
    )


async def reported(run: Run, by: str) -> dict[tuple[str, str], Decimal]:
    """Return what a report of this month says, by subject and unit."""
    since, until = bounds(Period.MONTH, datetime.now(UTC))
    found: dict[tuple[str, str], Decimal] = {}
    async for row in run.tenant.usage.report(since, until, [by, "provider", "model"]):
        assert row.unknown + row.unpriced <= row.with_usage == row.messages
        amounts = {"tokens": Decimal(row.total_tokens)}
        amounts |= {currency: spent.total for currency, spent in row.costs.items()}
        for unit, amount in amounts.items():
            key = (f"{by}:{row.key[by]}", unit)
            found[key] = found.get(key, Decimal(0)) + amount
    return found


async def compare(run: Run, database: AsyncDatabase[Row]) -> None:
    expected = await summed(database, run.tenant.tenant_id)
    for by in ("user", "character"):
        own = {key: amount for key, amount in expected.items() if key[0].startswith(by)}
        found = await reported(run, by)
        assert {key: amount for key, amount in found.items() if key[0] != "character:None"} == own
    states = await states_of(database, run.tenant.tenant_id)
    since, until = bounds(Period.MONTH, datetime.now(UTC))
    async for row in run.tenant.usage.report(since, until):
        assert (row.unknown, row.inconsistent, row.unpriced) == states
    for user in USERS:
        for status in await run.tenant.usage.budgets.status(user_id=user, character_id=LUNA):
            key = (status.subject, status.budget.unit)
            assert status.spent == expected.get(key, Decimal(0)), key


@given(operations)
@patient
async def test_what_was_spent_is_the_sum_of_the_messages(
    service: MessageService,
    database: AsyncDatabase[Row],
    tmp_path: Path,
    operations: list[tuple[Any, ...]],
) -> None:
    run = Run(service, service.tenant(f"t{next(TENANTS)}"), tmp_path)
    await run.begin()
    for operation in operations:
        await run.do(operation)
        await compare(run, database)
    await run.count("")
    await compare(run, database)
