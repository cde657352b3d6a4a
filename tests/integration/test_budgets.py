"""Budgets: what was spent is the sum of the messages, at every moment and to the last digit."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pymongo.asynchronous.database import AsyncDatabase

from message_service import BudgetStatus, MessageService, Verdict, errors
from message_service.database.decimals import decimal
from message_service.documents.row import Row
from message_service.documents.usage_counter import Period
from message_service.interchange.report import ImportReport
from message_service.usage.counters import Counter
from message_service.usage.counting import UsageCounting
from message_service.usage.periods import bounds
from support.shell import Cli

USER, OTHER = "user_000000000001", "user_000000000002"
LUNA = "char_000000000001"
LLM = {"provider": "mine", "model": "m"}
PRICES = '[[price]]\nprovider = "mine"\nmodel = "*"\ninput = 1\noutput = 3\n'
USED = {"input": 100_000, "output": 50_000}  # 0.25


@pytest.fixture
async def conversation(service: MessageService, tmp_path: Path) -> str:
    path = tmp_path / "prices.toml"
    path.write_text(PRICES)
    await service.prices.load(path)
    return (await service.conversations.create(USER, character_id=LUNA)).conversation_id


async def used(service: MessageService, conversation: str, **fields: Any) -> str:
    given = {"llm_metadata": LLM, "usage": USED} | fields
    done = await service.messages.append(conversation, "assistant", "hello", **given)
    return done.message_id


async def the_one(service: MessageService, **whom: Any) -> BudgetStatus:
    [status] = await service.usage.budgets.status(**whom)
    return status


@pytest.mark.parametrize("counted", [False, True])
async def test_a_call_is_allowed_then_near_then_over(
    service: MessageService, conversation: str, counted: bool
) -> None:
    await service.usage.budgets.set("1", user_id=USER, near=0.5)
    seen: list[tuple[Decimal, Verdict]] = []
    for _ in range(5):
        answer = await service.usage.check(user_id=USER)
        [status] = answer.budgets
        assert answer.verdict == status.verdict
        assert status.left == 1 - status.spent
        seen.append((status.spent, answer.verdict))
        await used(service, conversation)
        if counted:
            assert await service.usage_counters.drain() == 1
    assert seen == [
        (Decimal(0), Verdict.ALLOWED),
        (Decimal("0.25"), Verdict.ALLOWED),
        (Decimal("0.5"), Verdict.NEAR),
        (Decimal("0.75"), Verdict.NEAR),
        (Decimal(1), Verdict.OVER),
    ]


async def test_what_a_call_will_cost_counts(service: MessageService, conversation: str) -> None:
    await service.usage.budgets.set(1, period="day")
    await service.usage.budgets.set(200_000, unit="tokens")
    await used(service, conversation)
    verdicts = [
        (await service.usage.check(expected_cost=cost, expected_tokens=tokens)).verdict
        for cost, tokens in (("0.1", 0), ("0.55", 0), ("0.75", 0), ("0.76", 0), (0, 50_001))
    ]
    assert verdicts == ["allowed", "near", "near", "over", "over"]


async def test_everybody_has_a_budget_of_their_own(
    service: MessageService, conversation: str
) -> None:
    budgets = service.usage.budgets
    await budgets.set(1, user_id="*", period="week")
    await budgets.set(3, character_id=LUNA)
    await budgets.set(5)
    await used(service, conversation)
    await used(service, conversation, user_id=OTHER)
    await used(service, conversation, user_id=OTHER)
    statuses = await budgets.status(user_id=OTHER, character_id=LUNA)
    assert {status.subject: status.spent for status in statuses} == {
        f"user:{OTHER}": Decimal("0.5"),
        f"character:{LUNA}": Decimal("0.75"),
        "tenant:default": Decimal("0.75"),
    }
    assert [each.subject for each in await budgets.list()] == [
        f"character:{LUNA}",
        "tenant:default",
        "user:*",
    ]
    assert await budgets.remove(user_id="*", period="week")
    assert not await budgets.remove(user_id="*", period="week")
    assert len(await budgets.list()) == 2


async def test_another_time_another_currency_and_another_tenant_do_not_count(
    service: MessageService, conversation: str
) -> None:
    await service.usage.budgets.set(1, period="day")
    now = datetime.now(UTC)
    await used(service, conversation, created_at=now - timedelta(days=1))
    await used(
        service, conversation, token_usage={"total_cost": "9", "cost_currency": "EUR"}, usage=None
    )
    assert (await the_one(service)).spent == 0
    await service.usage_counters.drain()
    assert (await the_one(service)).spent == 0
    assert (await service.tenant("acme").usage.check()).budgets == ()
    await service.usage.budgets.set(10, unit="EUR", period="day")
    spent = {each.budget.unit: each.spent for each in await service.usage.budgets.status()}
    assert spent == {"USD": 0, "EUR": 9}


async def test_corrections_replace_what_was_counted(
    service: MessageService, conversation: str
) -> None:
    await service.usage.budgets.set(10)
    message = await used(service, conversation)
    for counted in (True, False, True):
        if counted:
            await service.usage_counters.drain()
        await service.messages.record_usage(
            conversation, message, {"input": 2_000_000 if counted else 1_000_000}
        )
        assert (await the_one(service)).spent == (2 if counted else 1)
    await service.usage_counters.drain()
    await service.messages.delete(conversation, message)
    assert (await the_one(service)).spent == 2  # it was spent
    assert await service.usage_counters.drain() == 0


async def test_counting_while_others_write_loses_and_doubles_nothing(
    service: MessageService, conversation: str, database: AsyncDatabase[Row]
) -> None:
    await service.usage.budgets.set(1_000)
    ids: list[str] = []
    done = asyncio.Event()

    async def write() -> None:
        for _ in range(60):
            ids.append(await used(service, conversation))
            if len(ids) % 3 == 0:
                await service.messages.record_usage(conversation, ids[-2], {"input": 1_000_000})
        done.set()

    async def count() -> None:
        while not done.is_set():
            await service.usage_counters.drain()

    async def watch() -> None:
        last = Decimal(0)
        while not done.is_set():
            spent = (await the_one(service)).spent
            assert spent >= last  # figures only grow here: a message is never in neither place
            last = spent

    await asyncio.gather(write(), count(), count(), watch())
    await service.usage_counters.drain()
    expected = 20 * Decimal(1) + 40 * Decimal("0.25")
    assert (await the_one(service)).spent == expected
    rows = await database["usage_counters"].find({"subject": "tenant:default"}).to_list()
    assert sum(decimal(row["cost"]["USD"]) for row in rows) == expected
    assert sum(row["messages"] for row in rows) == 60
    assert {row["subject"] for row in await _all(database)} == {
        "tenant:default",
        f"user:{USER}",
        f"character:{LUNA}",
    }


async def _all(database: AsyncDatabase[Row]) -> Iterable[Row]:
    return await database["usage_counters"].find().to_list()


async def test_an_export_restored_elsewhere_is_counted_anew(
    service: MessageService, conversation: str, tmp_path: Path
) -> None:
    await used(service, conversation)
    await service.usage_counters.drain()
    path = tmp_path / "export.jsonl"
    lines = [line async for line in service.tenant("default").transfer.export_lines()]
    assert not any("counted" in line for line in lines)
    path.write_text("".join(lines))
    acme = service.tenant("acme")
    await acme.usage.budgets.set(1)
    async for _ in acme.transfer.import_files("jsonl", [path], ImportReport()):
        pass
    [status] = await acme.usage.budgets.status()
    assert status.spent == Decimal("0.25")
    assert await service.usage_counters.drain() == 1


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"limit": -1}, "limit"),
        ({"limit": float(1)}, "limit"),
        ({"limit": "much"}, "limit"),
        ({"limit": "NaN"}, "limit"),
        ({"limit": Decimal("1e-13")}, "limit"),
        ({"limit": 1, "user_id": "me"}, "user_id"),
        ({"limit": 1, "user_id": {"$gt": ""}}, "user_id"),
        ({"limit": 1, "user_id": USER, "character_id": LUNA}, "character_id"),
        ({"limit": 1, "period": "year"}, "period"),
        ({"limit": 1, "unit": "usd"}, "unit"),
        ({"limit": 1, "near": 2}, "near"),
    ],
)
async def test_a_wrong_budget_is_refused_by_name(
    service: MessageService, values: dict[str, Any], field: str
) -> None:
    with pytest.raises(errors.InvalidInput) as caught:
        await service.usage.budgets.set(**values)
    assert caught.value.field == field
    assert await service.usage.budgets.list() == []


def test_periods() -> None:
    def days(period: Period, *moment: int) -> list[str]:
        return [f"{edge:%m-%d}" for edge in bounds(period, datetime(*moment, tzinfo=UTC))]  # type: ignore[arg-type]

    assert days(Period.DAY, 2026, 12, 31, 23, 59) == ["12-31", "01-01"]
    assert days(Period.WEEK, 2027, 1, 1) == ["12-28", "01-04"]
    assert days(Period.MONTH, 2026, 12, 5) == ["12-01", "01-01"]
    assert days(Period.MONTH, 2024, 2, 29) == ["02-01", "03-01"]


def test_the_commands(mongo_uri: str, database: AsyncDatabase[Row], tmp_path: Path) -> None:
    cli = Cli(mongo_uri, database.name, tmp_path)
    path = tmp_path / "prices.toml"
    path.write_text(PRICES)
    cli("prices", "load", path)
    conversation = cli.json("conversations", "create", USER)["conversation_id"]
    cli("usage", "budgets", "set", "--amount", "0.3", "--user", USER, "--period", "day")
    cli("usage", "budgets", "set", "--tokens", "1000000")
    cli(
        *("append", conversation, "x", "--role", "assistant", "--provider", "mine"),
        *("--model", "m", "--usage", '{"input": 100000, "output": 50000}'),
    )
    assert "1 messages counted" in cli("usage", "count", "--once")
    found = cli.json("usage", "budgets", "status", "--user", USER)
    assert found["verdict"] == "near"
    assert {each["subject"]: each["spent"] for each in found["budgets"]} == {
        f"user:{USER}": "0.25",
        "tenant:default": "150000",
    }
    assert "over" in cli("usage", "budgets", "status", "--user", USER, "--expected", "0.1")
    assert len(cli.json("usage", "budgets", "list")) == 2
    cli("usage", "budgets", "remove", "--tokens")
    assert "--amount" in cli("usage", "budgets", "set", code=2)
    assert "--near" in cli("usage", "budgets", "set", "--amount", "1", "--near", "x", code=2)
    assert "budget" in cli("usage", "budgets", "remove", "--user", OTHER, code=3)


class Overtaken(UsageCounting):
    """Counts, and is overtaken by another process before it writes."""

    async def _write(self, counters: Iterable[Counter]) -> bool:
        await UsageCounting(self._store, poll=1).drain()
        return await super()._write(counters)


class Killed(Exception):
    """The process that counts ends here."""


class CutShort(UsageCounting):
    """Counts, and is killed before the messages say so."""

    async def _note(self, due: Sequence[Row]) -> list[Row]:
        raise Killed


async def test_who_is_overtaken_counts_nothing(
    service: MessageService, conversation: str, database: AsyncDatabase[Row]
) -> None:
    await service.usage.budgets.set(10)
    for known in (False, True):  # the counters are new, then they are there
        await used(service, conversation)
        counting = Overtaken(service.store, poll=1)
        assert await counting.step()
        assert counting.figures() == {"counted": 0}
        assert (await the_one(service)).spent == (Decimal("0.5") if known else Decimal("0.25"))
    rows = await database["usage_counters"].find({"subject": "tenant:default"}).to_list()
    assert [(row["messages"], row["applied"]) for row in rows] == [(2, [])]


async def test_what_comes_while_others_are_half_counted_counts(
    service: MessageService, conversation: str
) -> None:
    await service.usage.budgets.set(10)
    first = await used(service, conversation)
    with pytest.raises(Killed):
        await CutShort(service.store, poll=1).step()
    assert (await the_one(service)).spent == Decimal("0.25")
    await used(service, conversation)
    assert (await the_one(service)).spent == Decimal("0.5")
    await service.messages.record_usage(conversation, first, {"input": 1_000_000})
    assert (await the_one(service)).spent == Decimal("1.25")
    assert await service.usage_counters.drain() == 2
    assert (await the_one(service)).spent == Decimal("1.25")
