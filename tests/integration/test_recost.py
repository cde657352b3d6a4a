"""Costs are computed again: only what changes is written, and what was billed first is kept."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pymongo.asynchronous.database import AsyncDatabase

from message_service import MessageService, Recosted, StopSignal, errors
from message_service.database.decimals import decimal
from message_service.documents.row import Row
from support.shell import Cli

USER = "user_000000000001"
JAN, FEB, MAR = (datetime(2026, month, 1, tzinfo=UTC) for month in (1, 2, 3))
LLM = {"provider": "mine", "model": "m"}
USED = {"input": 1_000_000}


def price(amount: str, model: str = "m", *, since: str = "") -> str:
    begin = f"valid_from = {since}\n" if since else ""
    return f'[[price]]\nprovider = "mine"\nmodel = "{model}"\ninput = {amount}\noutput = 9\n{begin}'


async def load(service: MessageService, tmp_path: Path, text: str) -> None:
    path = tmp_path / "prices.toml"
    path.write_text(text)
    await service.prices.load(path)


@pytest.fixture
async def conversation(service: MessageService, tmp_path: Path) -> str:
    await load(service, tmp_path, price("1"))
    return (await service.conversations.create(USER)).conversation_id


async def used(service: MessageService, conversation: str, at: datetime, **fields: Any) -> str:
    given = {"llm_metadata": LLM, "usage": USED, "created_at": at} | fields
    done = await service.messages.append(conversation, "assistant", "hello", **given)
    return done.message_id


async def figures(service: MessageService, conversation: str, message: str) -> Row:
    stored = await service.messages.get(conversation, message)
    stored.document()
    fields: Row = stored.raw["token_usage"]
    return fields


async def recost(service: MessageService, **options: Any) -> Recosted:
    done = await service.usage.recost(JAN, MAR, **options)
    assert done.finished
    return done


async def test_a_price_known_later_is_applied_to_its_time(
    service: MessageService, conversation: str, tmp_path: Path
) -> None:
    await service.usage.budgets.set(100)
    await service.messages.append(conversation, "user", "hi", created_at=JAN)
    january = await used(service, conversation, JAN)
    february = await used(service, conversation, FEB)
    await used(service, conversation, MAR)
    await load(service, tmp_path, price("3", since="2026-02-01"))
    planned = await recost(service, dry_run=True)
    assert decimal((await figures(service, conversation, february))["total_cost"]) == 1
    done = await recost(service)
    assert planned == done
    assert (done.examined, done.changed, done.unchanged, done.given) == (2, 1, 1, 0)
    change = done.models["mine/m"]
    assert (change.messages, change.before, change.after) == (1, {"USD": 1}, {"USD": 3})
    fields = await figures(service, conversation, february)
    assert (decimal(fields["total_cost"]), fields["revision"]) == (3, 2)
    assert decimal(fields["first_billed"]["total_cost"]) == 1
    assert (await figures(service, conversation, january))["revision"] == 1
    explained = await service.usage.explain(conversation, february)
    assert (explained.agrees, explained.first_billed) == (True, 1)
    again = await recost(service)
    assert (again.examined, again.changed) == (2, 0)
    # A later revision keeps what was billed first.
    await load(service, tmp_path, price("5"))
    await recost(service)
    fields = await figures(service, conversation, february)
    assert (decimal(fields["total_cost"]), decimal(fields["first_billed"]["total_cost"])) == (5, 1)


async def test_what_had_no_price_gets_one(
    service: MessageService, conversation: str, tmp_path: Path
) -> None:
    message = await used(service, conversation, JAN, llm_metadata=LLM | {"model": "new"})
    assert (await recost(service)).unpriced == 1
    await load(service, tmp_path, price("2", "new"))
    done = await recost(service)
    assert (done.changed, done.unpriced, done.models["mine/new"].before) == (1, 0, {})
    fields = await figures(service, conversation, message)
    assert (fields["cost_state"], decimal(fields["total_cost"])) == ("priced", 2)
    assert "first_billed" not in fields
    assert await service.prices.missing() == []


async def test_given_costs_and_others_than_wanted_stay(
    service: MessageService, conversation: str, tmp_path: Path
) -> None:
    given = await used(service, conversation, JAN, token_usage={"total_cost": "7"})
    other = await used(service, conversation, JAN, llm_metadata=LLM | {"provider": "Mine "})
    unknown = await used(service, conversation, JAN, usage={})
    await load(service, tmp_path, price("2"))
    assert (await recost(service, model="another")).examined == 0
    assert (await recost(service, provider="another")).examined == 0
    done = await recost(service, provider="MINE", model="m")
    assert (done.examined, done.changed, done.given) == (2, 1, 1)
    assert decimal((await figures(service, conversation, given))["total_cost"]) == 7
    assert decimal((await figures(service, conversation, other))["total_cost"]) == 2
    assert (await figures(service, conversation, unknown))["revision"] == 1


async def test_a_currency_may_change(
    service: MessageService, conversation: str, tmp_path: Path
) -> None:
    message = await used(service, conversation, FEB)
    await service.usage_counters.drain()
    await load(service, tmp_path, price("1", since="2026-02-01") + 'currency = "EUR"\n')
    done = await recost(service)
    assert (done.models["mine/m"].before, done.models["mine/m"].after) == ({"USD": 1}, {"EUR": 1})
    fields = await figures(service, conversation, message)
    assert (fields["cost_currency"], fields["first_billed"]["cost_currency"]) == ("EUR", "USD")


async def test_the_counters_follow(
    service: MessageService, conversation: str, tmp_path: Path, database: AsyncDatabase[Row]
) -> None:
    for day in range(5):
        await used(service, conversation, JAN + timedelta(days=day))
    await service.usage_counters.drain()
    await load(service, tmp_path, price("2", since="2026-01-03"))
    await recost(service)
    assert await service.usage_counters.drain() == 3
    rows = await database["usage_counters"].find({"subject": "tenant:default"}).to_list()
    found = {row["date"].day: decimal(row["cost"]["USD"]) for row in rows}
    assert found == {1: 1, 2: 1, 3: 2, 4: 2, 5: 2}


async def test_figures_from_before_there_were_states_get_them(
    service: MessageService, conversation: str, database: AsyncDatabase[Row]
) -> None:
    message = await used(service, conversation, JAN)
    old = {"prompt_tokens": 2_000_000, "completion_tokens": 0, "total_tokens": 2_000_000}
    chosen = {"message_id": message, "conversation_id": conversation}
    await database["messages"].update_one(chosen, {"$set": {"token_usage": old}})
    assert (await recost(service)).changed == 1
    fields = await figures(service, conversation, message)
    assert (fields["usage_state"], fields["classes"]) == ("known", {"input": 2_000_000})
    assert (decimal(fields["total_cost"]), fields["revision"]) == (2, 1)
    assert (await recost(service)).changed == 0


async def test_what_changes_meanwhile_is_decided_anew(
    service: MessageService, conversation: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("message_service.usage.recost._BATCH", 7)
    ids = [await used(service, conversation, JAN + timedelta(minutes=n // 3)) for n in range(40)]
    await load(service, tmp_path, price("2"))
    writing = asyncio.Event()

    async def write() -> None:
        for message in ids:
            await service.messages.record_usage(conversation, message, {"input": 3_000_000})
        writing.set()

    async def repeat() -> None:
        while not writing.is_set():
            await recost(service)

    await asyncio.gather(write(), repeat())
    await load(service, tmp_path, price("4"))
    done = await recost(service)
    assert (done.examined, done.changed) == (40, 40)
    for message in ids:
        fields = await figures(service, conversation, message)
        assert decimal(fields["total_cost"]) == 12
        assert decimal(fields["first_billed"]["total_cost"]) in (1, 2)


async def test_a_stop_leaves_the_rest_for_the_next_run(
    service: MessageService, conversation: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("message_service.usage.recost._BATCH", 3)
    for _ in range(10):
        await used(service, conversation, JAN)
    await load(service, tmp_path, price("2"))
    stop = StopSignal()
    read = service.runtime.price_book.of

    async def stopping(*words: Any, **options: Any) -> Any:
        stop.request()
        return await read(*words, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(service.runtime.price_book, "of", stopping)
        first = await service.usage.recost(JAN, MAR, stop=stop)
    assert (first.finished, first.changed) == (False, 3)
    rest = await recost(service)
    assert (rest.changed, rest.unchanged) == (7, 3)


@pytest.mark.parametrize(
    ("since", "until", "options", "field"),
    [
        (MAR, JAN, {}, "until"),
        (JAN, JAN, {}, "until"),
        (JAN.replace(tzinfo=None), MAR, {}, "since"),
        ("2026-01-01", MAR, {}, "since"),
        (JAN, MAR, {"provider": ""}, "provider"),
        (JAN, MAR, {"model": {"$ne": ""}}, "model"),
        (JAN, MAR, {"dry_run": 1}, "dry_run"),
    ],
)
async def test_a_wrong_period_is_refused_by_name(
    service: MessageService, since: Any, until: Any, options: dict[str, Any], field: str
) -> None:
    with pytest.raises(errors.InvalidInput) as caught:
        await service.usage.recost(since, until, **options)
    assert caught.value.field == field


def test_the_command(mongo_uri: str, database: AsyncDatabase[Row], tmp_path: Path) -> None:
    cli = Cli(mongo_uri, database.name, tmp_path)
    path = tmp_path / "prices.toml"
    path.write_text(price("1"))
    cli("prices", "load", path)
    conversation = cli.json("conversations", "create", USER)["conversation_id"]
    cli(
        *("append", conversation, "x", "--role", "assistant", "--provider", "mine"),
        *("--model", "m", "--usage", '{"input": 1500000}'),
    )
    path.write_text(price("2"))
    cli("prices", "load", path)
    period = ("--from", "2026-01-01", "--to", "2999-01-01")
    assert "1 would change" in cli("usage", "recost", *period, "--dry-run")
    done = cli.json("usage", "recost", *period)
    assert done["models"]["mine/m"] == {
        "messages": 1,
        "before": {"USD": "1.5"},
        "after": {"USD": "3"},
    }
    assert "0 changed, 1 stay" in cli("usage", "recost", *period)
    assert "--to" in cli("usage", "recost", "--from", "2026-02-01", "--to", "2026-01-01", code=2)
    assert "--from" in cli("usage", "recost", "--from", "then", "--to", "2026-01-01", code=2)
