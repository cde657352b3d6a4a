"""Whatever happens to messages, and whoever is killed: every summary is the sum of its messages."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo.asynchronous.database import AsyncDatabase

from message_service import MessageService, StopSignal, Tenant, errors
from message_service.analytics.applying import Applying
from message_service.analytics.folding import Range
from message_service.analytics.rollup import Rollup
from message_service.analytics.summaries import Summary
from message_service.documents.row import Row
from support.summaries import problems

patient = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

USERS = ["user_000000000001", "user_000000000002"]
CHARACTERS = ["char_000000000001", "char_000000000002", None]
MODELS = [None, ("mine", "m"), ("mine", "n"), ("other", None)]
JAN = datetime(2026, 1, 30, 22, tzinfo=UTC)
ZONES = ["Asia/Tokyo", "America/St_Johns", "Europe/Berlin", "UTC"]
TENANTS = itertools.count()

ALL = 1_000_000

places = st.integers(0, 50)
tokens = st.integers(0, 9_000_000)
messages = st.fixed_dictionaries(
    {
        "role": st.sampled_from(["user", "assistant", "system"]),
        "text": st.sampled_from(["a", "two words", "x" * 50, "x" * 51, "word " * 60]),
        "user": st.sampled_from(USERS),
        "character": st.sampled_from(CHARACTERS),
        "model": st.sampled_from(MODELS),
        "hours": st.sampled_from([0, 1, 1, 3, 30, 24 * 7, 24 * 40]),
        "latency": st.one_of(st.none(), st.integers(0, 5_000)),
        "usage": st.one_of(st.none(), st.tuples(tokens, tokens)),
        "scores": st.one_of(st.none(), st.tuples(st.floats(0, 1), st.floats(0, 1))),
        "topics": st.lists(st.sampled_from(["a", "b.c", "$d"]), max_size=3),
        "filtered": st.sampled_from([None, True, False]),
        "conversation": st.integers(0, 1),
    }
)
operations = st.lists(
    st.one_of(
        st.tuples(st.just("append"), messages),
        st.tuples(st.just("append"), messages),
        st.tuples(st.just("edit"), places, st.sampled_from(["y", "y" * 101, "y " * 300])),
        st.tuples(st.just("delete"), places),
        st.tuples(st.just("undelete"), places),
        st.tuples(st.just("feedback"), places, st.sampled_from(["up", "down", "4"])),
        st.tuples(st.just("usage"), places, st.tuples(tokens, tokens)),
        st.tuples(st.just("recost"), st.integers(0, 99)),
        st.tuples(st.just("enrich")),
        st.tuples(st.just("roll up"), st.just(ALL)),
        st.tuples(st.just("roll up"), st.integers(0, 40)),
        st.tuples(st.just("two"), st.integers(0, 40)),
        st.tuples(st.just("zone"), st.sampled_from(ZONES)),
        st.tuples(st.just("rebuild"), st.sampled_from([ALL, 3, 12]), st.integers(0, 5)),
    ),
    min_size=6,
    max_size=30,
)  # fmt: skip


class Cut(Exception):
    """The process that summarises is killed here."""


class CutApplying(Applying):
    """Writes so many summaries, and is killed."""

    left = 0

    async def write(
        self, summaries: Sequence[Summary], number: int, zones: Mapping[str, ZoneInfo]
    ) -> None:
        kept = random.Random(number).sample(summaries, min(self.left, len(summaries)))
        await super().write(kept, number, zones)
        self.left -= len(kept)
        if len(kept) < len(summaries):
            raise Cut


class Run:
    """Carries operations out."""

    def __init__(self, service: MessageService, tenant: Tenant, directory: Path) -> None:
        self.service = service
        self.tenant = tenant
        self.directory = directory
        self.conversations: list[str] = []
        self.said: list[tuple[str, str]] = []
        self.zone = ZoneInfo("UTC")

    async def begin(self) -> None:
        for user in USERS:
            made = await self.tenant.conversations.create(user)
            self.conversations.append(made.conversation_id)
        await self.load(1)

    async def load(self, amount: int) -> None:
        path = self.directory / f"{self.tenant.tenant_id}.toml"
        path.write_text(
            f'[[price]]\nprovider = "mine"\nmodel = "m"\ninput = 0.{amount:02}\noutput = 1\n'
        )
        await self.tenant.prices.load(path)

    async def append(self, wanted: Row) -> None:
        usage = wanted["usage"]
        more: Row = {}
        if wanted["model"] is not None:
            provider, model = wanted["model"]
            more["llm_metadata"] = {"provider": provider} | ({"model": model} if model else {})
        if usage is not None:
            more["usage"] = {"input": usage[0], "output": usage[1]}
        if wanted["latency"] is not None:
            more["processing_metadata"] = {
                "total_latency_ms": wanted["latency"],
                "processing_time_ms": 7,
                "error_count": wanted["latency"] % 2,
            }
        if wanted["scores"] is not None:
            coherence, safety = wanted["scores"]
            more["quality_metadata"] = {"coherence_score": coherence, "relevance_score": safety}
            more["safety_metadata"] = {"safety_score": safety}
        if wanted["filtered"] is not None:
            more.setdefault("safety_metadata", {})["content_filtered"] = wanted["filtered"]
        if wanted["topics"]:
            more["custom_metadata"] = {"topics": wanted["topics"]}
        conversation = self.conversations[wanted["conversation"]]
        done = await self.tenant.messages.append(
            conversation,
            wanted["role"],
            wanted["text"],
            user_id=wanted["user"],
            character_id=wanted["character"],
            created_at=JAN + timedelta(hours=wanted["hours"]),
            **more,
        )
        self.said.append((conversation, done.message_id))

    async def do(self, operation: tuple[Any, ...]) -> None:
        changed = self.tenant.messages
        match operation:
            case ("append", wanted):
                await self.append(wanted)
            case ("recost", amount):
                await self.load(amount)
                await self.tenant.usage.recost(JAN - timedelta(days=1), JAN + timedelta(days=90))
            case ("enrich",):
                await self.service.search_index.drain()
            case ("roll up", writes):
                await self.roll_up(writes)
            case ("rebuild", writes, days):
                with contextlib.suppress(Cut):
                    since = JAN.replace(hour=0) + timedelta(days=days)
                    wanted = Range(self.tenant.tenant_id, since, since + timedelta(days=days + 1))
                    await self.rollup(writes).ranges.make(wanted, StopSignal())
            case ("zone", name):
                await self.tenant.analytics.set_time_zone(name)
                self.zone = ZoneInfo(name)
            case ("two", writes):
                await asyncio.gather(self.roll_up(writes), self.roll_up(ALL))
            case (name, place, *rest) if self.said:
                conversation, message = self.said[place % len(self.said)]
                with contextlib.suppress(errors.Conflict):
                    match name:
                        case "edit":
                            await changed.edit(conversation, message, rest[0])
                        case "delete":
                            await changed.delete(conversation, message)
                        case "undelete":
                            await changed.undelete(conversation, message)
                        case "feedback":
                            await changed.feedback(conversation, message, rest[0])
                        case _:
                            used, made = rest[0]
                            block = {"input": used, "output": made}
                            await changed.record_usage(conversation, message, block)
            case _:
                pass

    def rollup(self, writes: int) -> Rollup:
        """Return a loop that is killed after so many summaries."""
        applying = CutApplying(self.service.store, self.service.runtime.clock)
        applying.left = writes
        return Rollup(self.service.store, self.service.runtime.clock, poll=1, applying=applying)

    async def roll_up(self, writes: int) -> None:
        rollup = self.rollup(writes)
        with contextlib.suppress(Cut):
            while await rollup.step():
                pass


@patient
@given(operations)
async def test_every_summary_is_the_sum_of_its_messages(
    service: MessageService,
    database: AsyncDatabase[Row],
    tmp_path: Path,
    wanted: list[tuple[Any, ...]],
) -> None:
    run = Run(service, service.tenant(f"tenant{next(TENANTS)}"), tmp_path)
    await run.begin()
    for operation in wanted:
        await run.do(operation)
    await service.rollups.drain()
    assert await problems(database, [run.tenant.tenant_id], lambda _: run.zone) == []
    assert await service.rollups.drain() == 0
