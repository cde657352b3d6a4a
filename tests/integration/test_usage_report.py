"""Usage reports: by anything, from the messages, as rows, files and charts."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from pymongo.asynchronous.database import AsyncDatabase

from message_service import MessageService, Spent, TokenClass, UsageRow, errors
from message_service.documents.row import Row
from support.shell import Cli

ANN, BOB = "user_000000000001", "user_000000000002"
LUNA = "char_000000000001"
SINCE, UNTIL = datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
PRICES = '[[price]]\nprovider = "mine"\nmodel = "m"\ninput = 1\ncached_input = 0.5\noutput = 2\n'
MINE = {"provider": "mine", "model": "m"}


@pytest.fixture
def cli(mongo_uri: str, database: AsyncDatabase[Row], tmp_path: Path) -> Cli:
    return Cli(mongo_uri, database.name, tmp_path)


@pytest.fixture
async def ids(service: MessageService, tmp_path: Path) -> dict[str, str]:
    """Two users: known, cached, unknown, unpriced, inconsistent, given and estimated usage."""
    path = tmp_path / "prices.toml"
    path.write_text(PRICES)
    await service.prices.load(path)
    ids: dict[str, str] = {}
    for name, user in (("ann", ANN), ("bob", BOB)):
        made = await service.conversations.create(user, character_id=LUNA if user == ANN else None)
        ids[name] = made.conversation_id

    async def said(name: str, role: str, when: datetime, **fields: Any) -> str:
        done = await service.messages.append(ids[name], role, "x", created_at=when, **fields)
        return done.message_id

    day = datetime(2026, 3, 28, 23, 30, tzinfo=UTC)  # the 29th in Berlin: summer time begins
    await said("ann", "user", day)
    block = {"input": 1_000_000, "cached_input": 500_000, "output": 10}
    ids["first"] = await said("ann", "assistant", day, llm_metadata=MINE, usage=block)
    later = day + timedelta(days=1)
    await said("ann", "assistant", later, llm_metadata=MINE, usage={})
    await said("ann", "assistant", later, llm_metadata={"model": "other"}, usage={"input": 7})
    wrong = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 9}
    await said("bob", "assistant", later, llm_metadata=MINE, usage=wrong)
    given = {"total_cost": "0.25", "cost_currency": "EUR", "prompt_tokens": 5}
    given |= {"completion_tokens": 0}
    await said("bob", "assistant", later, llm_metadata=MINE, token_usage=given)
    counted = {"input": 100, "output": 0, "estimated": True}
    upper = {"provider": " Mine ", "model": "m"}
    await said("bob", "assistant", later, llm_metadata=upper, usage=counted)
    return ids


async def report(service: MessageService, by: Iterable[str] = (), **options: Any) -> list[UsageRow]:
    period = (options.pop("since", SINCE), options.pop("until", UNTIL))
    return [row async for row in service.usage.report(*period, by, **options)]


def plain(row: UsageRow) -> dict[str, Decimal]:
    return {currency: spent.total for currency, spent in row.costs.items()}


async def test_a_row_says_what_is_known(service: MessageService, ids: dict[str, str]) -> None:
    [row] = await report(service)
    assert row.key == {}
    assert (row.messages, row.with_usage) == (7, 6)
    assert (row.unknown, row.unpriced, row.inconsistent, row.estimated) == (1, 1, 1, 1)
    assert row.prompt_tokens == 1_500_000 + 7 + 1 + 5 + 100
    assert row.total_tokens == row.prompt_tokens + row.completion_tokens
    # 1 + 0.25 + 10 x 2 / 1,000,000, the contradictory one 1 x 1 + 2 x 2, the estimated one 100
    assert plain(row) == {"USD": Decimal("1.25002") + Decimal("0.000105"), "EUR": Decimal("0.25")}
    assert row.classes is None


async def test_details(service: MessageService, ids: dict[str, str]) -> None:
    [row] = await report(service, user_id=ANN, detailed=True)
    assert row.classes == {
        TokenClass.INPUT: 1_000_007,
        TokenClass.CACHED_INPUT: 500_000,
        TokenClass.OUTPUT: 10,
    }
    assert row.costs["USD"] == Spent(Decimal("1.25002"), Decimal("1.25"), Decimal("0.00002"))


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        (["user"], {(ANN,): 4, (BOB,): 3}),
        (["character"], {(None,): 3, (LUNA,): 4}),
        (["role"], {("assistant",): 6, ("user",): 1}),
        (["provider"], {(None,): 2, ("mine",): 5}),
        (["model", "user"], {(None, ANN): 1, ("m", ANN): 2, ("m", BOB): 3, ("other", ANN): 1}),
        (["tier"], {(None,): 1, ("standard",): 6}),
        (["day"], {(date(2026, 3, 28),): 2, (date(2026, 3, 29),): 5}),
        (["week"], {(date(2026, 3, 23),): 7}),
        (["month"], {(date(2026, 3, 1),): 7}),
    ],
)
async def test_by_anything(
    service: MessageService, ids: dict[str, str], by: list[str], expected: dict[Any, int]
) -> None:
    rows = await report(service, by)
    assert {tuple(row.key.values()): row.messages for row in rows} == expected
    assert [tuple(row.key.values()) for row in rows] == [*expected]
    assert [*rows[0].key] == by


async def test_by_conversation(service: MessageService, ids: dict[str, str]) -> None:
    rows = await report(service, ["conversation"])
    assert {row.key["conversation"]: row.messages for row in rows} == {
        ids["ann"]: 4,
        ids["bob"]: 3,
    }


async def test_days_of_a_zone(service: MessageService, ids: dict[str, str]) -> None:
    async def days(zone: str) -> dict[object, int]:
        return {
            row.key["day"]: row.messages for row in await report(service, ["day"], time_zone=zone)
        }

    assert await days("Europe/Berlin") == {date(2026, 3, 29): 2, date(2026, 3, 30): 5}
    assert await days("America/New_York") == {date(2026, 3, 28): 2, date(2026, 3, 29): 5}
    # The server's own table of time zones, as old as itself, lacks Egypt's summer time.
    await service.messages.append(
        ids["bob"], "user", "x", created_at=datetime(2026, 7, 1, 21, 30, tzinfo=UTC)
    )
    assert (await days("Africa/Cairo"))[date(2026, 7, 2)] == 1


async def test_only_some(service: MessageService, ids: dict[str, str]) -> None:
    chosen: list[tuple[dict[str, Any], int | None]] = [
        ({"user_id": BOB}, 3),
        ({"character_id": LUNA}, 4),
        ({"conversation_id": ids["ann"]}, 4),
        ({"conversation_id": ids["ann"], "user_id": BOB}, None),
        ({"user_id": ANN, "character_id": LUNA}, 4),
        ({"since": datetime(2026, 3, 29, tzinfo=UTC)}, 5),
        ({"until": datetime(2026, 3, 28, 23, 30, tzinfo=UTC)}, None),
    ]
    for options, messages in chosen:
        rows = await report(service, **options)
        assert [row.messages for row in rows] == ([] if messages is None else [messages]), options


async def test_the_top(service: MessageService, ids: dict[str, str]) -> None:
    async def users(**options: Any) -> list[object]:
        return [row.key["user"] for row in await report(service, ["user"], **options)]

    assert await users(top=1) == [ANN]
    assert await users(top=9) == [ANN, BOB]
    assert await users(top=9, order_by="EUR") == [BOB, ANN]
    assert await users(top=1, order_by="messages") == [ANN]
    assert await users(top=2, order_by="CHF") == [ANN, BOB]  # equal: in the order of their names


async def test_what_was_paid_stays(service: MessageService, ids: dict[str, str]) -> None:
    [before] = await report(service)
    await service.messages.edit(ids["ann"], ids["first"], "y")
    await service.messages.delete(ids["ann"], ids["first"])
    assert await report(service) == [before]


async def test_a_closed_hole_is_no_message(
    service: MessageService, database: AsyncDatabase[Row], ids: dict[str, str]
) -> None:
    await database["messages"].delete_one(
        {"conversation_id": ids["ann"], "message_id": ids["first"]}
    )
    assert await service.messages.close_holes(ids["ann"], reason="lost")
    now = datetime.now(UTC)
    [row] = await report(service, since=SINCE, until=now + timedelta(days=1))
    assert row.messages == 6


async def test_bad_input(service: MessageService) -> None:
    for problem, options in {
        "Swap the two dates": {"since": UNTIL, "until": SINCE},
        "ten years": {"since": datetime(2010, 1, 1, tzinfo=UTC)},
        "Did you mean user?": {"by": ["users"]},
        "names user twice": {"by": ["user", "user"]},
        "Give a list": {"by": "user"},
        "Asia/Tokyo": {"time_zone": "Asia/Tokio"},
        "'USD'": {"top": 3, "order_by": "$total"},
        "without top": {"order_by": "USD"},
        "10,000": {"top": 10_001},
        "user_id": {"user_id": "*"},
        "conversation_id": {"conversation_id": {"$ne": ""}},
    }.items():
        with pytest.raises(errors.InvalidInput) as caught:
            await report(service, **options)  # type: ignore[arg-type]
        assert problem in str(caught.value), (problem, str(caught.value))
    # Ten years are not too long.
    assert await report(service, since=UNTIL - timedelta(days=3_653)) == []


async def test_files(cli: Cli, ids: dict[str, str], tmp_path: Path) -> None:
    period = ("usage", "report", "--from", "2026-01-01", "--to", "2027-01-01", "--by", "user")
    rows = list(csv.DictReader(io.StringIO(cli(*period, "--format", "csv"))))
    assert [(row["user"], row["messages"], row["currency"], row["total_cost"]) for row in rows] == [
        (ANN, "4", "USD", "1.25002"),
        (BOB, "3", "EUR", "0.25"),
        (BOB, "0", "USD", "0.000105"),
    ]
    values = json.loads(cli(*period, "--format", "json", "--detailed"))
    assert [value["total_cost"] for value in values] == ["1.25002", "0.25", "0.000105"]
    assert [value["cached_input"] for value in values] == [500_000, 0, 0]
    file = tmp_path / "usage.parquet"
    cli(*period, "--format", "parquet", "--output", str(file))
    table = pq.read_table(file).to_pylist()
    assert sum(row["total_cost"] for row in table) == Decimal("1.500125")
    assert sum(row["messages"] for row in table) == 7


async def test_the_table_and_the_chart(cli: Cli, ids: dict[str, str], tmp_path: Path) -> None:
    chart = tmp_path / "chart.svg"
    period = ("usage", "report", "--from", "2026-01-01", "--to", "2027-01-01")
    shown = cli(*period, "--by", "week,model", "--chart", str(chart), "--chart-of", "USD")
    assert "1.250125" in shown
    assert "unpriced" in shown
    assert chart.read_bytes().startswith(b"<?xml")
    for options, problem in (
        (("--by", "week", "--by", "colour"), "--by: there is no dimension 'colour'"),
        (("--format", "xml"), "--format"),
        (("--chart", "x.pdf"), "--chart: is neither .png nor .svg"),
        (("--chart", "x.png", "--chart-of", "CHF"), "--chart: has nothing to show"),
        (("--chart", "/no/such/x.png"), "--chart: cannot be written"),
        (("--output", "x.csv"), "--output: is for files"),
        (("--from", "2027-01-02"), "--to: is not after the beginning"),
    ):
        assert problem in cli(*period, *options, code=2)
    assert not (tmp_path / "x.png").exists()


def test_dates_on_the_command_line_are_of_the_zone(cli: Cli, ids: dict[str, str]) -> None:
    def messages(*options: str) -> int:
        period = ("--from", "2026-03-29", "--to", "2026-03-30", "--format", "csv")
        text = cli("usage", "report", *period, *options)
        return sum(int(line["messages"]) for line in csv.DictReader(io.StringIO(text)))

    assert messages() == 5
    assert messages("--time-zone", "Europe/Berlin") == 2
