"""`message-service analytics`: roll up, check, report."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from pymongo.asynchronous.database import AsyncDatabase

from message_service import MessageService
from message_service.documents.row import Row
from support.shell import Cli

ANN, BOB = "user_000000000001", "user_000000000002"
MONDAY = datetime(2026, 3, 30, 9, tzinfo=UTC)
DAYS = ("--from", "2026-03-30", "--to", "2026-04-02")


@pytest.fixture
def cli(mongo_uri: str, database: AsyncDatabase[Row], tmp_path: Path) -> Cli:
    return Cli(mongo_uri, database.name, tmp_path)


@pytest.fixture
async def conversation(service: MessageService) -> str:
    """Three messages on Monday, in two currencies, one on Wednesday; not summarised yet."""
    made = await service.conversations.create(ANN)
    for day, user, cost, currency in (
        (0, ANN, "0.5", "USD"),
        (0, ANN, "0.25", "EUR"),
        (0, BOB, None, None),
        (2, BOB, "1", "USD"),
    ):
        usage = {"total_cost": cost, "cost_currency": currency, "total_tokens": 7}
        await service.messages.append(
            made.conversation_id,
            "assistant",
            "some words",
            user_id=user,
            created_at=MONDAY + timedelta(days=day),
            llm_metadata={"provider": "mine", "model": "m"},
            processing_metadata={"total_latency_ms": 1_000 + day},
            token_usage=None if cost is None else usage,
        )
    await service.drain()
    return made.conversation_id


async def test_roll_up_and_report(cli: Cli, conversation: str) -> None:
    assert "no messages" in cli("analytics", "report", *DAYS)
    assert "4 changed messages" in cli("analytics", "rollup")
    assert "0 changed messages" in cli("analytics", "rollup", *DAYS)
    shown = cli("analytics", "report", *DAYS, "--metrics", "total_messages,total_tokens")
    lines = [line.split("│") for line in shown.splitlines() if "│" in line]
    assert [[cell.strip() for cell in line[1:4]] for line in lines[:2]] == [
        ["2026-03-30", "3", "14"],
        ["2026-03-31", "0", "0"],
    ]
    assert "0.250000 EUR" in shown
    assert "0.500000 USD" in shown
    week = cli("analytics", "report", *DAYS, "--period", "week", "--conversation", conversation)
    assert "2026-03-30" in week
    assert len([line for line in week.splitlines() if line.startswith("│ 2026")]) == 1


async def test_the_top(cli: Cli, conversation: str) -> None:
    cli("analytics", "rollup")
    shown = cli("analytics", "report", *DAYS, "--by", "user", "--top", "1", "--order-by", "USD")
    assert "1 of 2" in shown
    assert BOB in shown
    assert "66.7%" in shown


async def test_the_top_as_a_file_and_a_chart(cli: Cli, tmp_path: Path, conversation: str) -> None:
    cli("analytics", "rollup")
    file, chart = tmp_path / "top.parquet", tmp_path / "top.svg"
    top = ("--by", "user", "--top", "5", "--order-by", "USD")
    cli(
        *("analytics", "report", *DAYS, *top),
        *("--format", "parquet", "--output", str(file), "--chart", str(chart)),
    )
    rows = pq.read_table(file).to_pylist()
    assert [(row["user_id"], row["USD"], row["messages"]) for row in rows] == [
        (BOB, Decimal(1), 2),
        (ANN, Decimal("0.5"), 2),
    ]
    assert BOB in chart.read_text()


async def test_compared_with_the_days_before(cli: Cli, conversation: str) -> None:
    cli("analytics", "rollup")
    days = ("--from", "2026-04-01", "--to", "2026-04-03", "--compare", "--format", "json")
    found = {row["metric"]: row for row in json.loads(cli("analytics", "report", *days))}
    assert (found["total_messages"]["now"], found["total_messages"]["before"]) == (1, 3)
    assert found["total_messages"]["change"] == pytest.approx(-2 / 3)
    costs = [row for row in json.loads(cli("analytics", "report", *days)) if row["currency"]]
    assert [(row["currency"], row["cost now"], row["cost before"]) for row in costs] == [
        ("EUR", None, "0.25"),
        ("USD", "1", "0.5"),
    ]
    assert "beside 2026-03-30 to 2026-04-01" in cli("analytics", "report", *days[:5])


async def test_a_distribution_over_the_whole_range(
    cli: Cli, tmp_path: Path, conversation: str
) -> None:
    cli("analytics", "rollup")
    chart = tmp_path / "times.svg"
    name = "response_time_distribution"
    shown = cli(
        *("analytics", "report", *DAYS, "--metrics", name, "--format", "csv"),
        *("--chart", str(chart)),
    )
    assert shown.splitlines()[1:] == ["0-500ms,0", "501-1000ms,3", "1001-2000ms,1", "2001ms+,0"]
    labels = ("0-500ms", "501-1000ms", "1001-2000ms", "2001ms+")
    places = [chart.read_text().index(f"<!-- {label} -->") for label in labels]
    assert places == sorted(places)
    assert "no messages" in cli("analytics", "report", *DAYS, "--metrics", "topic_distribution")


async def test_several_percentiles_in_one_chart(
    cli: Cli, tmp_path: Path, conversation: str
) -> None:
    cli("analytics", "rollup")
    chart = tmp_path / "latency.svg"
    measures = "median_response_time_ms,p95_response_time_ms"
    cli("analytics", "report", *DAYS, "--chart", str(chart), "--chart-of", measures)
    assert all(f"<!--  {name} -->" in chart.read_text() for name in measures.split(","))


async def test_all_tenants(cli: Cli, service: MessageService, conversation: str) -> None:
    other = service.tenant("acme")
    made = await other.conversations.create(ANN)
    await other.messages.append(made.conversation_id, "user", "hi", created_at=MONDAY)
    await service.drain()
    cli("analytics", "rollup")
    shared = ("--format", "csv", "--metrics", "total_messages", "--all-tenants")
    assert cli("analytics", "report", *DAYS, *shared).splitlines()[1] == "2026-03-30,4,EUR,0.25"
    assert cli("analytics", "report", *DAYS, *shared, "--by", "tenant").splitlines()[1:] == [
        "2026-03-30,acme,1,,",
        "2026-03-30,default,3,EUR,0.25",
        "2026-03-30,default,,USD,0.5",
        "2026-04-01,default,1,USD,1",
    ]


async def test_files(cli: Cli, tmp_path: Path, conversation: str) -> None:
    cli("analytics", "rollup")
    rows = list(csv.DictReader(io.StringIO(cli("analytics", "report", *DAYS, "--format", "csv"))))
    assert [(row["date"], row["total_messages"], row["currency"], row["cost"]) for row in rows] == [
        ("2026-03-30", "3", "EUR", "0.25"),
        ("2026-03-30", "", "USD", "0.5"),
        ("2026-03-31", "0", "", ""),
        ("2026-04-01", "1", "USD", "1"),
    ]
    found = json.loads(
        cli("analytics", "report", *DAYS, "--by", "user", "--metrics", "all", "--format", "json")
    )
    assert [(row["user_id"], row["total_messages"]) for row in found if row["total_messages"]] == [
        (ANN, 2),
        (BOB, 1),
        (BOB, 1),
    ]
    file, chart = tmp_path / "out.parquet", tmp_path / "out.svg"
    cli(
        *("analytics", "report", *DAYS, "--by", "model", "--period", "week"),
        *("--format", "parquet", "--output", str(file)),
        *("--chart", str(chart), "--chart-of", "avg_response_time_ms"),
    )
    table = pq.read_table(file).to_pylist()
    assert [(row["date"], row["model"], row["avg_response_time_ms"]) for row in table] == [
        (date(2026, 3, 30), "m", 1000.5),
        (date(2026, 3, 30), "m", None),
    ]
    assert [row["cost"] for row in table] == [Decimal("0.25"), Decimal("1.5")]
    assert chart.read_text().startswith("<?xml")


async def test_check(
    cli: Cli, database: AsyncDatabase[Row], tmp_path: Path, conversation: str
) -> None:
    cli("analytics", "rollup")
    assert "all are right" in cli("analytics", "check")
    await database["message_analytics"].update_many(
        {"subject": f"user:{ANN}"}, {"$inc": {"message_metrics.total_words": 3}}
    )
    printed = tmp_path / "printed"
    for words, expected in (([], "total_words"), (["--json"], '"summaries": 3,')):
        with printed.open("w") as out:
            code, said = cli.into(out, "analytics", "check", *DAYS, *words)
        assert (code, "use --repair" in said) == (14, True)
        assert expected in printed.read_text()
    assert json.loads(printed.read_text())["drift"]["total_words"]["difference"] == "9"
    assert "repaired" in cli("analytics", "check", "--repair")
    assert json.loads(cli("analytics", "check", "--json"))["is_right"]


async def test_a_time_zone(cli: Cli, conversation: str) -> None:
    cli("analytics", "rollup")
    assert cli("analytics", "zone") == "UTC\n"
    assert cli("analytics", "zone", "Pacific/Auckland") == "Pacific/Auckland\n"
    shown = cli("analytics", "report", *DAYS, "--format", "csv", "--metrics", "total_messages")
    assert shown.splitlines()[1:4] == [
        "2026-03-30,3,EUR,0.25",
        "2026-03-30,,USD,0.5",
        "2026-03-31,0,,",
    ]
    cli("analytics", "zone", "Asia/Tokyo")
    assert "Asia/Tokyo" in cli("analytics", "zone", "Asia/Tokio", code=2)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("report", "--from", "2026-02-01", "--to", "2026-01-01"), "--to: is not after"),
        (("report", "--from", "2010-02-01", "--to", "2026-01-01"), "more than ten years"),
        (("report", "--from", "yesterday"), "--from: is not a day"),
        (("report", "--metrics", "total_token"), "total_tokens"),
        (("report", "--metrics", "total_words,topic_distribution"), "no single number"),
        (("report", "--metrics", "topic_distribution", "--by", "user"), "is of one subject"),
        (("report", "--compare", "--by", "user"), "--compare: is of one subject"),
        (("report", "--compare", "--chart", "a.png"), "--chart: is given beside compare"),
        (("report", "--by", "tenant"), "Add --all-tenants"),
        (("report", "--all-tenants", "--user", ANN), "--all-tenants: is for all messages"),
        (("report", "--all-tenants", "--by", "user"), "--all-tenants: is for all messages"),
        (("report", "--by", "usr"), "Did you mean user?"),
        (("report", "--by", "user", "--user", ANN), "--by: is given beside"),
        (("report", "--user", ANN, "--model", "m"), "--model: is given beside"),
        (("report", "--period", "year"), "Use day, week, month"),
        (("report", "--top", "5"), "--top: is of one kind"),
        (("report", "--order-by", "USD"), "--order-by: is given without top"),
        (
            ("report", "--by", "user", "--top", "5", "--order-by", "latency"),
            "--order-by: 'latency' is",
        ),
        (("report", "--chart", "a.gif"), "--chart: is neither"),
        (("report", "--format", "xml"), "--format: there is no format"),
        (("rollup", "--from", "2026-02-01", "--to", "2026-01-01"), "--to: is not after"),
        (("check", "--from", "1000-01-01"), "--from: lies outside"),
    ],
)
def test_bad_questions(cli: Cli, arguments: tuple[str, ...], said: str) -> None:
    assert said in cli("analytics", *arguments, code=2)
