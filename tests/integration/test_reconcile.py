"""Reconciling: a provider's export compared with the messages, by day and model."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pymongo.asynchronous.database import AsyncDatabase

from message_service import Agreement, MessageService, Reconciliation, errors
from message_service.documents.row import Row
from support.shell import Cli
from support.usage_exports import anthropic_json, console_csv, openai_csv, openai_json, table

USER = "user_000000000001"
A, B, C = "2026-03-01", "2026-03-02", "2026-03-03"
GPT = "gpt-4o-2024-08-06"
CLAUDE = "claude-sonnet-4-20250514"


def noon(day: str, minute: int = 0) -> datetime:
    return datetime.fromisoformat(f"{day}T12:{minute:02}:00+00:00")


def openai(used: int, cached: int, made: int) -> Row:
    return {
        "prompt_tokens": used,
        "completion_tokens": made,
        "total_tokens": used + made,
        "prompt_tokens_details": {"cached_tokens": cached},
        "completion_tokens_details": {"reasoning_tokens": made // 2},
    }


def anthropic(fresh: int, written: int, longer: int, read: int, made: int) -> Row:
    return {
        "input_tokens": fresh,
        "cache_creation_input_tokens": written + longer,
        "cache_creation": {
            "ephemeral_5m_input_tokens": written,
            "ephemeral_1h_input_tokens": longer,
        },
        "cache_read_input_tokens": read,
        "output_tokens": made,
    }


class Books:
    """A conversation, and exports to compare it with."""

    def __init__(self, service: MessageService, directory: Path, conversation: str) -> None:
        self.service = service
        self.file = directory / "export"
        self.conversation = conversation

    async def said(self, moment: datetime, model: str, usage: Any, **fields: Any) -> str:
        provider = fields.pop("provider", "openai" if model.startswith("gpt") else "anthropic")
        done = await self.service.messages.append(
            self.conversation,
            "assistant",
            "x",
            created_at=moment,
            llm_metadata={"provider": provider, "model": model},
            usage=usage,
            **fields,
        )
        return done.message_id

    async def compared(self, text: str, **options: Any) -> Reconciliation:
        self.file.write_text(text)
        return await self.service.usage.reconcile(self.file, **options)


@pytest.fixture
async def books(service: MessageService, tmp_path: Path) -> Books:
    made = await service.conversations.create(USER)
    return Books(service, tmp_path, made.conversation_id)


def agreements(found: Reconciliation) -> dict[tuple[str, str], str]:
    return {(str(row.day), row.model): row.agreement.value for row in found.rows}


@pytest.mark.parametrize("export", [openai_csv, openai_json], ids=["csv", "json"])
async def test_openai_matches(books: Books, export: Callable[..., str]) -> None:
    await books.said(noon(A), GPT, openai(1000, 400, 60))
    await books.said(noon(A, 1), GPT, openai(500, 0, 40))
    await books.said(noon(B), "gpt-5", openai(7, 0, 3))
    await books.said(noon(B), "gpt-5", openai(9, 0, 9), provider="azure")  # Azure bills it
    found = await books.compared(export((A, GPT, 1500, 400, 100, 2), (B, "gpt-5", 7, 0, 3, 1)))
    assert found.matches
    assert agreements(found) == {(A, GPT): "match", (B, "gpt-5"): "match"}
    assert (found.provider, found.rows[0].messages, found.rows[0].requests) == ("openai", 2, 2)
    assert found.rows[0].here == {"prompt": 1500, "cached": 400, "output": 100}


@pytest.mark.parametrize("export", [console_csv, anthropic_json], ids=["csv", "json"])
async def test_anthropic_matches(books: Books, export: Callable[..., str]) -> None:
    await books.said(noon(A), CLAUDE, anthropic(10, 20, 30, 40, 50))
    await books.said(noon(A), CLAUDE, anthropic(1, 0, 0, 0, 5), provider="Claude")
    found = await books.compared(export((A, CLAUDE, 11, 20, 30, 40, 55)))
    assert found.matches
    assert found.rows[0].here == {
        "prompt": 101,
        "cached": 40,
        "cache_write_5m": 20,
        "cache_write_1h": 30,
        "output": 55,
        "web_search": 0,
    }
    assert found.rows[0].requests is None
    wrong = await books.compared(export((A, CLAUDE, 11, 30, 20, 40, 55)))
    assert wrong.rows[0].difference["cache_write_5m"] == -10
    assert wrong.rows[0].agreement is Agreement.DIFFERENT


async def test_audio_beside_or_inside_the_prompt(books: Books) -> None:
    block = openai(100, 0, 10)
    block["prompt_tokens_details"]["audio_tokens"] = 30
    block["completion_tokens_details"] = {"audio_tokens": 4}
    await books.said(noon(A), GPT, block)
    beside = json.loads(openai_json((A, GPT, 70, 0, 6, 1)))
    beside["data"][0]["results"][0] |= {"input_audio_tokens": 30, "output_audio_tokens": 4}
    assert (await books.compared(json.dumps(beside))).matches
    inside = json.loads(openai_json((A, GPT, 100, 0, 10, 1)))
    inside["data"][0]["results"][0] |= {
        "input_audio_tokens": 30,
        "output_audio_tokens": 4,
        "input_text_tokens": 70,
        "output_text_tokens": 6,
    }
    assert (await books.compared(json.dumps(inside))).matches


async def test_every_kind_of_disagreement(books: Books) -> None:
    await books.said(noon(A), GPT, openai(100, 0, 10))
    extra = await books.said(noon(B), GPT, openai(33, 0, 4))
    await books.said(noon(B), GPT, openai(100, 0, 10))
    lonely = await books.said(noon(C), GPT, openai(5, 0, 5))
    found = await books.compared(
        openai_csv(
            (A, GPT, 100, 0, 10, 1),
            (A, "gpt-5", 9, 0, 9, 1),
            (B, GPT, 100, 0, 10, 1),
            (C, "gpt-5-mini", 0, 0, 0, 0),
        )
    )
    assert agreements(found) == {
        (A, GPT): "match",
        (A, "gpt-5"): "missing_here",
        (B, GPT): "different",
        (C, GPT): "missing_there",
        (C, "gpt-5-mini"): "match",
    }
    rows = {(str(row.day), row.model): row for row in found.rows}
    [suspect] = rows[B, GPT].suspects
    assert (suspect.message_id, suspect.tokens) == (extra, 37)
    assert suspect.reason == "its tokens are exactly the difference"
    assert suspect.conversation_id == books.conversation
    [suspect] = rows[C, GPT].suspects
    assert suspect.message_id == lonely
    assert rows[A, "gpt-5"].suspects == ()


async def test_suspects_are_named_with_their_reason(books: Books) -> None:
    wrong = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 9}
    given = {"prompt_tokens": 3, "completion_tokens": 3, "total_cost": "1"}
    await books.said(noon(A, 1), GPT, openai(6, 0, 6))
    ids = [
        await books.said(noon(A), GPT, {}),
        await books.said(noon(A), GPT, wrong),
        await books.said(noon(A), GPT, {"input": 5, "estimated": True}),
        await books.said(noon(A), GPT, None, token_usage=given),
        await books.said(noon(A, 2), GPT, openai(6, 0, 6)),
        await books.said(datetime(2026, 3, 1, 23, 57, tzinfo=UTC), GPT, openai(8, 0, 8)),
    ]
    await books.said(noon(A, 3), GPT, openai(7, 0, 7))
    await books.said(noon(A), "gpt-5", {})
    await books.said(noon(A), GPT, {}, provider="azure")
    [row] = (await books.compared(openai_csv((A, GPT, 1, 0, 1, 1)))).rows[:1]
    assert [each.message_id for each in row.suspects] == ids
    reasons = [each.reason for each in row.suspects]
    assert [reason for reason in reasons if "the other day" in reason] == reasons[-1:]
    assert len({*reasons}) == 6
    [row] = (await books.compared(openai_csv((A, GPT, 1, 0, 1, 1)), most_suspects=2)).rows[:1]
    assert ([each.message_id for each in row.suspects], row.more) == (ids[:2], 4)


async def test_names_without_a_date_stand_for_all(books: Books) -> None:
    await books.said(noon(A), "gpt-4o", openai(100, 0, 10))
    await books.said(noon(A), "GPT-4o-2024-08-06", openai(1, 0, 1), provider="openai")
    export = ((A, GPT, 60, 0, 6, 1), (A, "gpt-4o-2024-05-13", 41, 0, 5, 1))
    assert agreements(await books.compared(openai_csv(*export))) == {(A, "gpt-4o"): "match"}


async def test_days_are_those_of_the_file_or_given(books: Books) -> None:
    await books.said(noon(A), GPT, openai(1, 0, 1))
    await books.said(noon(C), GPT, openai(2, 0, 2))
    export = openai_csv((B, GPT, 0, 0, 0, 0))
    assert agreements(await books.compared(export)) == {(B, GPT): "match"}
    wider = await books.compared(export, since=noon(A), until=noon(C))
    assert agreements(wider) == {
        (A, GPT): "missing_there",
        (B, GPT): "match",
        (C, GPT): "missing_there",
    }
    bad: list[tuple[dict[str, Any], str]] = [
        ({"since": noon(C)}, "since"),
        ({"until": noon(A)}, "until"),
        ({"since": noon(A).replace(year=2020), "until": noon(A)}, "since"),
    ]
    for options, field in bad:
        with pytest.raises(errors.InvalidInput, match=f"{field}: leaves nothing"):
            await books.compared(export, **options)
    empty = openai_json((A, "", 0, 0, 0, 0), (C, "", 0, 0, 0, 0))
    assert agreements(await books.compared(empty)) == {
        (A, GPT): "missing_there",
        (C, GPT): "missing_there",
    }


async def test_exports_of_finer_buckets_and_tabs(books: Books) -> None:
    await books.said(noon(A), GPT, openai(3, 0, 3))
    lines = openai_csv((A, GPT, 1, 0, 1, 1), (A, GPT, 2, 0, 2, 1), delimiter="\t")
    assert (await books.compared("\ufeff" + lines)).matches
    pages = f"[{openai_json((A, GPT, 1, 0, 1, 1), more=True)}, {openai_json((A, GPT, 2, 0, 2, 1))}]"
    assert (await books.compared(pages)).matches


BAD = {
    "unknown columns": (
        table(("start_time", "model", "input_tokens", "output_tokens", "input_video_tokens"),
              [dict(zip(("start_time", "model", "input_tokens", "output_tokens",
                         "input_video_tokens"), (1772323200, GPT, 1, 1, 5), strict=True))], ","),
        "input_video_tokens",
    ),
    "costs": ("start_time,amount_value,amount_currency,line_item\n1772323200,0.5,usd,x\n", "costs"),
    "empty": ("", "no lines"),
    "only names": (openai_csv(), "no lines"),
    "no buckets": ('{"object": "page", "data": [], "has_more": false}', "no lines"),
    "a price list": ('[[price]]\nprovider = "mine"\n', "is not JSON"),
    "not json": ('{"data": [', "is not JSON"),
    "another json": ('{"hello": 1}', "bucket 1"),
    "pages missing": (openai_json((A, GPT, 1, 0, 1, 1), more=True), "all pages"),
    "no model": (openai_json((A, "x", 1, 0, 1, 1)).replace('"x"', "null"), "grouped by model"),
    "negative": (openai_json((A, GPT, -1, 0, 1, 1)), "bucket 1, result 1, input_tokens"),
    "fraction": (openai_csv((A, GPT, 1, 0, 1, 1)).replace(",1.0,1.0", ",1.5,1.0"), "line 2"),
    "absurd": (openai_json((A, GPT, 10**15, 0, 1, 1)), "input_tokens"),
    "no date": (console_csv(("yesterday", CLAUDE, 1, 0, 0, 0, 1)), "line 2, usage_date_utc"),
    "a month": (
        openai_json((A, GPT, 1, 0, 1, 1)).replace(str(1772409600), str(1774915200)),
        "by day",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
async def test_bad_files(books: Books, name: str) -> None:
    text, problem = BAD[name]
    with pytest.raises(errors.InvalidInput) as caught:
        await books.compared(text)
    assert problem in str(caught.value), str(caught.value)


async def test_unknown_columns_can_be_left_out(books: Books) -> None:
    await books.said(noon(A), GPT, openai(1, 0, 1))
    text, _ = BAD["unknown columns"]
    assert (await books.compared(text, ignore=["input_video_tokens"])).matches


async def test_another_tenant_is_not_compared(books: Books) -> None:
    await books.said(noon(A), GPT, openai(1, 0, 1))
    books.file.write_text(openai_csv((A, GPT, 1, 0, 1, 1)))
    found = await books.service.tenant("other").usage.reconcile(books.file)
    assert agreements(found) == {(A, GPT): "missing_here"}


async def test_the_command(
    books: Books, mongo_uri: str, database: AsyncDatabase[Row], tmp_path: Path
) -> None:
    cli = Cli(mongo_uri, database.name, tmp_path)
    await books.said(noon(A), GPT, openai(100, 0, 10))
    books.file.write_text(openai_csv((A, GPT, 100, 0, 10, 1)))
    assert "1 of 1 days and models match" in cli("usage", "reconcile", books.file)
    extra = await books.said(noon(A), GPT, openai(33, 0, 4))
    printed = tmp_path / "out"
    for options in ((), ("--json",)):
        with printed.open("w") as out:
            code, problem = cli.into(out, "usage", "reconcile", books.file, *options)
        assert code == 12
        assert "1 of 1 days and models do not match" in problem
        assert extra in printed.read_text()
        assert "its tokens are exactly the difference" in printed.read_text()
    assert json.loads(printed.read_text())["rows"][0]["difference"]["prompt"] == 33
    books.file.write_text("a,b\n1,2\n")
    assert "FILE: is no usage export we know" in cli("usage", "reconcile", books.file, code=2)
