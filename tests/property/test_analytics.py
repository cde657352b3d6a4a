"""Whatever happens to messages, and whoever is killed: every summary is the sum of its messages."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo.asynchronous.database import AsyncDatabase

from message_service import MessageService, StopSignal, Tenant, errors
from message_service.analytics.applying import Applying
from message_service.analytics.folding import Range
from message_service.analytics.periods import DAY, after, before, cut, period_of
from message_service.analytics.rollup import Rollup
from message_service.analytics.summaries import Summary
from message_service.documents.analytics import AggregationType
from message_service.documents.row import Row
from support.summaries import problems

patient = settings(
    max_examples=30,
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
        st.tuples(st.just("during"), messages, st.integers(0, 5)),
    ),
    min_size=6,
    max_size=30,
)  # fmt: skip


class Cut(Exception):
    """The process that summarises is killed here."""


class CutApplying(Applying):
    """Writes so many summaries, and is killed."""

    left = 0
    _writing = False

    async def write(
        self, summaries: Sequence[Summary], number: int, zones: Mapping[str, ZoneInfo]
    ) -> None:
        kept = self._kept(summaries, number)
        self._writing = True
        await super().write(kept, number, zones)
        self._writing = False
        if len(kept) < len(summaries):
            raise Cut

    async def insert(
        self, summaries: Sequence[Summary], number: int, zones: Mapping[str, ZoneInfo]
    ) -> list[Summary]:
        if self._writing:
            return await super().insert(summaries, number, zones)
        kept = self._kept(summaries, number)
        refused = await super().insert(kept, number, zones)
        if len(kept) < len(summaries):
            raise Cut
        return refused

    def _kept(self, summaries: Sequence[Summary], number: int) -> list[Summary]:
        kept = random.Random(number).sample(summaries, min(self.left, len(summaries)))
        self.left -= len(kept)
        return kept


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
                await self.rebuild(writes, days)
            case ("during", wanted, days):
                await asyncio.gather(
                    self.rebuild(ALL, days), self.append(wanted), self.roll_up(ALL)
                )
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

    async def rebuild(self, writes: int, days: int) -> None:
        since = JAN.replace(hour=0) + timedelta(days=days)
        wanted = Range(self.tenant.tenant_id, since, since + timedelta(days=days + 1))
        with contextlib.suppress(Cut):
            await self.rollup(writes).ranges.make(wanted, StopSignal())

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


sayings = st.lists(
    st.tuples(
        st.integers(0, 100),  # days
        st.sampled_from(USERS),
        st.sampled_from(CHARACTERS),
        st.sampled_from(MODELS),
        st.integers(0, 1),  # conversation
        st.integers(1, 500),  # tokens
    ),
    min_size=1,
    max_size=30,
)


@settings(patient, max_examples=15)
@given(sayings, st.integers(0, 100), st.integers(1, 100))
async def test_a_range_of_days_is_the_sum_of_its_messages(
    service: MessageService, said: list[tuple[Any, ...]], start: int, length: int
) -> None:
    tenant = service.tenant(f"tenant{next(TENANTS)}")
    conversations = [(await tenant.conversations.create(USERS[0])).conversation_id for _ in "ab"]
    for day, user, character, model, place, count in said:
        await tenant.messages.append(
            conversations[place],
            "assistant",
            "x",
            user_id=user,
            character_id=character,
            created_at=JAN + timedelta(days=day),
            llm_metadata=None if model is None else {"provider": model[0], "model": model[1]},
            token_usage={"total_tokens": count},
        )
    await service.rollups.drain()
    since = (JAN + timedelta(days=start)).date()
    inside = [each for each in said if start <= each[0] < start + length]
    subjects: list[tuple[dict[str, Any], list[tuple[Any, ...]]]] = [({}, inside)]
    subjects += [({"user_id": user}, [s for s in inside if s[1] == user]) for user in USERS]
    subjects += [
        ({"character_id": character}, [s for s in inside if s[2] == character])
        for character in CHARACTERS[:2]
    ]
    for provider, model in (each for each in MODELS if each is not None):
        named = {"provider": provider} | ({} if model is None else {"model": model})
        subjects.append((named, [s for s in inside if s[3] == (provider, model)]))
    subjects += [
        ({"conversation_id": name}, [s for s in inside if s[4] == place])
        for place, name in enumerate(conversations)
    ]
    for subject, expected in subjects:
        found = await tenant.analytics.total(since, since + timedelta(days=length), **subject)
        assert found.token_metrics.total_tokens == sum(each[5] for each in expected)
        counts = found.message_metrics
        assert counts.total_messages == len(expected)
        assert counts.unique_users == len({each[1] for each in expected})
        assert counts.unique_conversations == len({each[4] for each in expected})
        most = found.token_metrics.max_tokens_single_message
        assert most == max((each[5] for each in expected), default=None)


@given(st.dates(date(1900, 1, 1), date(2989, 12, 31)), st.integers(1, 3_653))
def test_a_range_is_cut_into_days_and_whole_months(first: date, length: int) -> None:
    since = datetime(first.year, first.month, first.day, tzinfo=UTC)
    until = since + length * DAY
    parts = cut(since, until)
    assert [part[1] for part in parts] == [since, *(part[2] for part in parts[:-1])]
    assert parts[-1][2] == until
    for kind, begins, ends in parts:
        assert begins < ends
        if kind is AggregationType.MONTHLY:
            assert (begins.day, ends.day) == (1, 1)
        else:
            first = after(AggregationType.MONTHLY, period_of(AggregationType.MONTHLY, begins - DAY))
            assert after(AggregationType.MONTHLY, first) > ends  # no whole month within it


@pytest.mark.parametrize(
    ("since", "until", "first"),
    [
        ((2026, 3, 1), (2026, 4, 1), (2026, 2, 1)),
        ((2026, 1, 1), (2026, 4, 1), (2025, 10, 1)),
        ((2026, 1, 1), (2027, 1, 1), (2025, 1, 1)),
        ((2026, 3, 2), (2026, 3, 9), (2026, 2, 23)),
        ((2026, 3, 1), (2026, 3, 2), (2026, 2, 28)),
    ],
)
def test_the_range_before(
    since: tuple[int, int, int], until: tuple[int, int, int], first: tuple[int, int, int]
) -> None:
    found = before(datetime(*since, tzinfo=UTC), datetime(*until, tzinfo=UTC))
    assert found == datetime(*first, tzinfo=UTC)
