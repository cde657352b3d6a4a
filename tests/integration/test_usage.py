"""The usage and cost of messages: recorded, priced, explained."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pymongo.asynchronous.database import AsyncDatabase

from message_service import MessageService, StoredMessage, TokenClass, errors
from message_service.database.decimals import decimal
from message_service.documents.row import Row
from message_service.usage import price_book
from message_service.usage.library_prices import LibraryPrices, library_prices
from support.shell import Cli

USER = "user_000000000001"
SAID = datetime(2026, 3, 1, 12, tzinfo=UTC)
OPENAI = {
    "prompt_tokens": 2006,
    "completion_tokens": 300,
    "total_tokens": 2306,
    "prompt_tokens_details": {"cached_tokens": 1920},
}
GPT = {"provider": "openai", "model": "gpt-4o-2024-08-06"}
OWN = """
[[price]]
provider = "openai"
model = "gpt-4o*"
input = 2.50
cached_input = 1.25
output = 10

[[price]]
provider = "openai"
model = "gpt-4o*"
tier = "batch"
input = 1.25
output = 5
"""
# 86 x 2.50 + 1920 x 1.25, 300 x 10, per million
PROMPT, COMPLETION = Decimal("0.002615"), Decimal("0.003")


@pytest.fixture
def cli(mongo_uri: str, database: AsyncDatabase[Row], tmp_path: Path) -> Cli:
    return Cli(mongo_uri, database.name, tmp_path)


@pytest.fixture
async def conversation(service: MessageService, tmp_path: Path) -> str:
    path = tmp_path / "prices.toml"
    path.write_text(OWN)
    await service.prices.load(path)
    return (await service.conversations.create(USER)).conversation_id


async def appended(service: MessageService, conversation: str, **fields: Any) -> StoredMessage:
    given = {"llm_metadata": GPT, "created_at": SAID} | fields
    done = await service.messages.append(conversation, "assistant", "hello", **given)
    return await service.messages.get(conversation, done.message_id)


def figures(message: StoredMessage) -> Row:
    fields: Row = message.raw["token_usage"]
    message.document()
    return fields


async def test_a_block_becomes_tokens_classes_and_cost(
    service: MessageService, conversation: str
) -> None:
    fields = figures(await appended(service, conversation, usage=OPENAI))
    assert (fields["prompt_tokens"], fields["completion_tokens"]) == (2006, 300)
    assert fields["total_tokens"] == 2306
    assert fields["classes"] == {"input": 86, "cached_input": 1920, "output": 300}
    assert (fields["usage_state"], fields["cost_state"]) == ("known", "priced")
    assert decimal(fields["prompt_cost"]) == PROMPT
    assert decimal(fields["completion_cost"]) == COMPLETION
    assert decimal(fields["total_cost"]) == PROMPT + COMPLETION
    assert (fields["cost_currency"], fields["billing_tier"]) == ("USD", "standard")
    assert fields["provider_usage"] == OPENAI


async def test_the_tier_of_the_block_or_of_the_caller_counts(
    service: MessageService, conversation: str
) -> None:
    several: list[dict[str, Any]] = [
        {"usage": OPENAI | {"service_tier": "batch"}},
        {"usage": OPENAI, "token_usage": {"billing_tier": "batch"}},
        {"token_usage": {"billing_tier": "batch", "prompt_tokens": 2006, "completion_tokens": 300}},
    ]
    for fields in several:
        stored = figures(await appended(service, conversation, **fields))
        assert stored["billing_tier"] == "batch"
        assert decimal(stored["total_cost"]) == Decimal("0.0040075")


async def test_an_object_of_the_provider_s_package_is_a_block(
    service: MessageService, conversation: str
) -> None:
    from pydantic import BaseModel

    class CompletionUsage(BaseModel):
        prompt_tokens: int
        completion_tokens: int
        total_tokens: int
        prompt_tokens_details: dict[str, int] | None = None

    block = CompletionUsage(prompt_tokens=5, completion_tokens=7, total_tokens=12)
    stored = figures(await appended(service, conversation, usage=block))
    assert stored["classes"] == {"input": 5, "output": 7}


async def test_what_is_not_reported_is_unknown_and_not_zero(
    service: MessageService, conversation: str
) -> None:
    fields = figures(await appended(service, conversation, usage={}))
    assert fields == {"usage_state": "unknown", "billing_tier": "standard", "revision": 1}
    explained = await service.usage.explain(
        conversation, (await appended(service, conversation, usage={})).message_id
    )
    assert (explained.total, explained.cost_state) == (None, None)
    assert "not known" in explained.text()[-1]


async def test_contradictory_figures_are_kept_and_flagged(
    service: MessageService, conversation: str
) -> None:
    fields = figures(await appended(service, conversation, usage=OPENAI | {"total_tokens": 9}))
    assert fields["usage_state"] == "inconsistent"
    assert fields["usage_problems"] == ["total_tokens is 9, the parts add up to 2,306"]
    assert fields["provider_usage"]["total_tokens"] == 9


async def test_an_unknown_model_is_unpriced_and_listed(
    service: MessageService, conversation: str
) -> None:
    for model in ("my-model", "my-model", None):
        llm = {"provider": "openai", "model": model}
        fields = figures(await appended(service, conversation, llm_metadata=llm, usage=OPENAI))
        assert fields["cost_state"] == "unpriced"
        assert "total_cost" not in fields
    one, other = sorted(await service.prices.missing(), key=lambda each: each.messages)
    assert (other.provider, other.model, other.tier) == ("openai", "my-model", "standard")
    assert (other.messages, other.tokens, other.first) == (2, 4612, SAID)
    assert one.model is None


async def test_a_cost_the_caller_gives_is_kept_as_it_is(
    service: MessageService, conversation: str
) -> None:
    message = await appended(service, conversation, usage=OPENAI, token_usage={"total_cost": "0.1"})
    fields = figures(message)
    assert (decimal(fields["total_cost"]), fields["cost_state"]) == (Decimal("0.1"), "given")
    assert "prompt_cost" not in fields
    explained = await service.usage.explain(conversation, message.message_id)
    assert explained.agrees
    assert "as the caller gave it" in explained.text()[-1]


async def test_a_total_alone_is_not_priced(service: MessageService, conversation: str) -> None:
    for given in ({"total_tokens": 5}, {"prompt_tokens": 5}):
        fields = figures(await appended(service, conversation, token_usage=given))
        assert fields.items() >= given.items()
        assert (fields["usage_state"], fields["cost_state"]) == ("inconsistent", "unpriced")


async def test_a_local_model_costs_nothing_and_says_so(
    service: MessageService, conversation: str
) -> None:
    llm = {"provider": "LM-Studio", "model": "qwen2.5-7b"}
    message = await appended(service, conversation, llm_metadata=llm, usage=OPENAI)
    assert (figures(message)["cost_state"], decimal(figures(message)["total_cost"])) == (
        "priced",
        0,
    )
    explained = await service.usage.explain(conversation, message.message_id)
    assert explained.agrees
    assert {line.row.source for line in explained.lines} == {"local"}


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"usage": OPENAI | {"prompt_tokens": -1}}, "usage.prompt_tokens"),
        ({"usage": OPENAI | {"prompt_tokens": 1.5}}, "usage.prompt_tokens"),
        ({"usage": {"what": 1}}, "usage"),
        ({"usage": {"input": 1, "$where": 1}}, "usage.'$where'"),
        ({"usage": [1]}, "usage"),
        ({"usage": OPENAI, "token_usage": {"prompt_tokens": 1}}, "token_usage.prompt_tokens"),
        (
            {"token_usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 3}},
            "token_usage.total_tokens",
        ),
        ({"token_usage": {"cost_state": "priced"}}, "token_usage.cost_state"),
    ],
)
async def test_wrong_figures_are_refused_by_name(
    service: MessageService, conversation: str, fields: dict[str, Any], field: str
) -> None:
    with pytest.raises(errors.InvalidInput) as caught:
        await appended(service, conversation, **fields)
    assert caught.value.field == field
    assert (await service.messages.history(conversation)).items == []


async def test_usage_can_be_recorded_later_and_again(
    service: MessageService, conversation: str
) -> None:
    done = await service.messages.append(conversation, "assistant", "hi", created_at=SAID)
    record = service.messages.record_usage
    assert (await record(conversation, done.message_id, {})).raw["token_usage"]["revision"] == 1
    first = await record(
        conversation, done.message_id, OPENAI, provider=GPT["provider"], model=GPT["model"]
    )
    fields = figures(first)
    assert first.raw["llm_metadata"] == GPT
    assert decimal(fields["total_cost"]) == PROMPT + COMPLETION
    assert fields["revision"] == 2
    assert "first_billed" not in fields
    again = await record(conversation, done.message_id, OPENAI)
    assert figures(again) == fields  # idempotent
    corrected = figures(
        await record(conversation, done.message_id, OPENAI | {"service_tier": "batch"})
    )
    assert decimal(corrected["total_cost"]) == Decimal("0.0040075")
    assert decimal(corrected["first_billed"]["total_cost"]) == PROMPT + COMPLETION
    assert corrected["revision"] == 3
    # Later corrections keep what was billed first.
    third = figures(
        await record(conversation, done.message_id, None, token_usage={"total_cost": Decimal(1)})
    )
    assert decimal(third["first_billed"]["total_cost"]) == PROMPT + COMPLETION
    assert (await service.messages.get(conversation, done.message_id)).revision == 1


async def test_recording_refuses_what_an_append_refuses(
    service: MessageService, conversation: str
) -> None:
    message = await appended(service, conversation, usage=OPENAI)
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"usage": None}, "usage"),
        ({"usage": {"input": -1}}, "usage.input"),
        ({"usage": OPENAI, "token_usage": {"total_tokens": 1}}, "token_usage.total_tokens"),
        ({"usage": None, "token_usage": {"cost": 1}}, "token_usage.cost"),
        ({"usage": OPENAI, "provider": ""}, "provider"),
    ]
    for values, field in wrong:
        with pytest.raises(errors.InvalidInput) as caught:
            await service.messages.record_usage(conversation, message.message_id, **values)
        assert caught.value.field == field
    after = await service.messages.get(conversation, message.message_id)
    assert figures(after) == figures(message)


async def test_a_recorded_usage_changes_neither_the_message_nor_its_search_entry(
    service: MessageService, conversation: str
) -> None:
    message = await appended(service, conversation)
    await service.search_index.drain()
    await service.messages.record_usage(conversation, message.message_id, OPENAI)
    check = await service.search_index.check()
    assert (check.messages, check.waiting, check.clean) == (1, 0, True)
    await service.messages.edit(conversation, message.message_id, "other", expected_revision=1)


async def test_a_repeated_append_with_its_usage_is_the_same_message(
    service: MessageService, conversation: str
) -> None:
    for duplicate in (False, True):
        done = await service.messages.append(
            conversation, "assistant", "x", client_msg_id="k", llm_metadata=GPT, usage=OPENAI
        )
        assert done.duplicate is duplicate
    with pytest.raises(errors.IdempotencyConflict, match="usage"):
        await service.messages.append(
            conversation,
            "assistant",
            "x",
            client_msg_id="k",
            llm_metadata=GPT,
            usage=OPENAI | {"total_tokens": 1},
        )


async def test_usage_is_committed_with_a_transaction(
    service: MessageService, conversation: str
) -> None:
    async def work(transaction: Any) -> str:
        done = await service.messages.append(
            conversation, "assistant", "x", llm_metadata=GPT, usage=OPENAI, within=transaction
        )
        return done.message_id

    message_id = await service.transaction(work)
    stored = figures(await service.messages.get(conversation, message_id))
    assert decimal(stored["total_cost"]) == PROMPT + COMPLETION


async def test_an_explanation_shows_the_arithmetic_of_its_time(
    service: MessageService, conversation: str, tmp_path: Path
) -> None:
    message = await appended(service, conversation, usage=OPENAI)
    path = tmp_path / "dearer.toml"
    path.write_text(OWN.replace("10", "20"))
    await service.prices.load(path)
    explained = await service.usage.explain(conversation, message.message_id)
    assert explained.agrees
    assert [(line.token_class, line.count, line.cost) for line in explained.lines] == [
        ("input", 86, Decimal("0.000215")),
        ("cached_input", 1920, Decimal("0.0024")),
        ("output", 300, Decimal("0.003")),
    ]
    text = explained.text()
    assert "  cached_input: 1,920 x 1.25 / 1,000,000 = 0.0024  (price openai-1-2, own)" in text
    assert text[-1] == "cost: 0.002615 for the prompt + 0.003 for the reply = 0.005615 USD"
    dearer = await appended(service, conversation, usage=OPENAI)
    assert decimal(figures(dearer)["completion_cost"]) == 2 * COMPLETION


async def test_costs_are_summed_exactly_in_the_server(
    service: MessageService, conversation: str
) -> None:
    block = {"input": 1, "output": 0}  # 0.0000025
    await service.messages.append_many(
        conversation,
        [
            {"role": "assistant", "text": "x", "llm_metadata": GPT, "usage": block}
            for _ in range(1_000)
        ],
    )
    now = datetime.now(UTC)
    [group] = await service.messages.tokens_by_user(USER, since=SAID, until=now.replace(year=2200))
    assert decimal(group["total_cost"]) == Decimal("0.0025")
    assert group["total_tokens"] == 1_000


async def test_figures_of_before_are_explained_too(
    service: MessageService, conversation: str, database: AsyncDatabase[Row]
) -> None:
    message = await appended(service, conversation)
    await database["messages"].update_one(
        {"message_id": message.message_id, "conversation_id": conversation},
        {"$set": {"token_usage": {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}}},
    )
    explained = await service.usage.explain(conversation, message.message_id)
    assert (explained.usage_state, explained.total) == (None, None)
    changed = await service.messages.record_usage(conversation, message.message_id, OPENAI)
    assert figures(changed)["revision"] == 1


def test_the_command_line_appends_prices_and_explains(cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(OWN)
    assert "would be added" in cli("prices", "load", str(path), "--dry-run")
    assert "5 prices of 1 models added" in cli("prices", "load", str(path))
    assert "0 prices of 0 models added, 2 known already" in cli("prices", "load", str(path))
    created = cli.json("conversations", "create", USER)
    conversation = created["conversation_id"]
    done = cli(
        *("append", conversation, "hello", "--role", "assistant", "--json"),
        *("--provider", "openai", "--model", "gpt-4o", "--usage", json.dumps(OPENAI)),
    )
    message = json.loads(done)["message_id"]
    text = cli("usage", "explain", conversation, message)
    assert "0.002615 for the prompt + 0.003 for the reply = 0.005615 USD" in text
    told = cli.json("usage", "explain", conversation, message)
    assert (told["total"], told["lines"][1]["cost"]) == ("0.005615", "0.0024")
    shown = json.loads(
        cli("prices", "show", "gpt-4o", "--provider", "openai", "--tier", "batch", "--json")
    )
    assert [(row["token_class"], row["unit_price"]) for row in shown] == [
        ("input", "1.25"),
        ("output", "5"),
    ]
    listed = cli.json("prices", "list", "--own")
    assert len(listed) == 5
    assert cli.json("prices", "missing") == []
    assert "gpt-4o" in cli("prices", "list", "--provider", "openai")


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("prices", "load", "absent.toml"), 2, "FILE: cannot be read"),
        (("prices", "show", "nothing", "--provider", "openai"), 3, "openai/nothing"),
        (("prices", "show", "gpt-4o", "--provider", "openai", "--at", "soon"), 2, "--at"),
        (("usage", "explain", "conv_000000000001", "msg_000000000001"), 3, "message"),
        (("append", "conv_000000000001", "x", "--usage", "[1]"), 2, "--usage"),
    ],
)
def test_wrong_words_are_one_line(cli: Cli, words: tuple[str, ...], code: int, told: str) -> None:
    done = cli(*words, code=code)
    assert told in done
    assert len(done.splitlines()) == 1


async def test_tenants_have_the_shared_prices_in_common(
    service: MessageService, conversation: str, tmp_path: Path
) -> None:
    book = service.runtime.price_book
    one, other, own = [await book.of(name, "openai") for name in ("acme", "other", "default")]
    assert one is other
    assert own is not one
    path = tmp_path / "acme.toml"
    path.write_text(OWN.replace("2.50", "7"))
    await service.tenant("acme").prices.load(path)
    priced: list[Decimal] = []
    for name in ("acme", "other", "default"):
        found = await service.tenant(name).prices.find("gpt-4o", "openai")
        row = found.row(TokenClass.INPUT, 1)
        assert row is not None
        priced.append(row.unit_price)
    assert priced == [Decimal(7), Decimal("2.5"), Decimal("2.5")]
    assert [row.source for row in found.by_class[TokenClass.INPUT]] == ["own"]
    assert not any([row.source == "own" async for row in service.tenant("other").prices.rows()])


async def test_many_first_appends_load_the_library_s_prices_once(
    service: MessageService, database: AsyncDatabase[Row]
) -> None:
    made = await service.conversations.create(USER)
    llm = {"provider": "mistral", "model": "mistral-large-latest"}
    await asyncio.gather(
        *(
            service.messages.append(
                made.conversation_id, "assistant", "x", llm_metadata=llm, usage=OPENAI
            )
            for _ in range(40)
        )
    )
    rows = await database["price_book"].find({"provider": "mistral"}).to_list()
    assert len({row["known_from"] for row in rows}) == 1
    assert {row["tenant_id"] for row in rows} == {"*"}
    assert await service.prices.missing() == []


async def test_a_newer_library_changes_what_it_prices_otherwise_and_nothing_else(
    service: MessageService, conversation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    llm = {"provider": "groq", "model": "llama-3.1-8b-instant"}
    before = await appended(service, conversation, llm_metadata=llm, usage=OPENAI)
    monkeypatch.setattr(price_book, "library_providers", lambda: ("groq",))
    first = await service.prices.load_library()
    assert (first.added, first.models) == (0, ())
    known = library_prices("groq")
    newer = [
        replace(row, unit_price=2 * row.unit_price, pattern=f"(?:{row.pattern})")
        if row.model == llm["model"]
        else row
        for row in known.rows
    ]
    # A model added before it changes no one else's place.
    newer.insert(0, replace(newer[0], model="a-new-model", pattern=r"\Aa-new-model\Z"))
    monkeypatch.setattr(price_book, "library_prices", lambda _: LibraryPrices(tuple(newer)))
    planned = await service.prices.load_library(dry_run=True)
    loaded = await service.prices.load_library()
    assert planned == loaded
    assert set(loaded.models) == {"groq/a-new-model", f"groq/{llm['model']}"}
    after = await appended(service, conversation, llm_metadata=llm, usage=OPENAI)
    paid = decimal(figures(before)["total_cost"])
    assert decimal(figures(after)["total_cost"]) == 2 * paid > 0
    explained = await service.usage.explain(conversation, before.message_id)
    assert (explained.agrees, explained.total) == (True, paid)
    assert (await service.prices.load_library()).added == 0


async def test_a_price_file_is_loaded_as_a_whole_or_not_at_all(
    service: MessageService, database: AsyncDatabase[Row], tmp_path: Path
) -> None:
    path = tmp_path / "two.toml"
    path.write_text(
        "".join(
            f'[[price]]\nprovider = "{name}"\nmodel = "m"\ninput = 1\noutput = 2\n'
            for name in ("alpha", "zeta")
        )
    )
    await service.prices.load(path)
    [taken] = await database["price_book"].find({"price_id": "zeta-1-1"}).to_list()
    await database["price_book"].delete_many({"tenant_id": "default"})
    # What the second provider's rows will be called is taken already.
    await database["price_book"].insert_one(taken | {"provider": "other"})
    with pytest.raises(errors.AlreadyExists):
        await service.prices.load(path)
    assert await database["price_book"].count_documents({"provider": "alpha"}) == 0
