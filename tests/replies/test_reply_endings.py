"""Replies that break off, fail, are stopped or not wanted any longer: each ends as stated."""

from __future__ import annotations

from typing import Any

import pytest

from message_service import (
    errors,
)
from message_service.generation import replying as making
from message_service.generation.providers.scripted import open_gate
from support.job_handlers import at_work
from support.reply_chat import Chat, said
from support.waiting import until


async def test_a_try_that_breaks_off_restarts_and_followers_are_told(chat: Chat) -> None:
    reply = await chat.ask("first 1 say half of|first 1 cut|say the whole of it")
    events = await chat.followed(reply)
    assert [event.kind for event in events].count("begin") == 2
    assert said(events) == "the whole of it"
    assert await chat.texts() == ["How are you, Luna?", "the whole of it"]


async def test_a_try_that_breaks_off_is_kept_where_the_client_says_so(chat: Chat) -> None:
    reply = await chat.ask(
        "first 1 say half of|first 1 cut|say the whole of it", on_interruption="keep"
    )
    assert (await chat.ended(reply)).finish_reason == "interrupted"
    assert said(await chat.followed(reply)) == "half of"
    message = await chat.stored(reply)
    assert (message.content.text, message.llm_metadata and message.llm_metadata.finish_reason) == (
        "half of",
        "interrupted",
    )
    assert message.token_usage is not None
    assert message.token_usage.usage_state == "unknown"


async def test_a_stopped_reply_keeps_what_was_said(chat: Chat) -> None:
    reply = await chat.ask("say one two|stall")
    await chat.seen(reply, "two")
    status = await chat.service.replies.cancel(reply.reply_id)
    assert status.status in ("processing", "completed")
    events = await chat.followed(reply)
    assert [event.kind for event in events[-2:]] == ["stop", "end"]
    assert events[-1].finish_reason == "cancelled"
    assert await chat.texts() == ["How are you, Luna?", "one two"]
    with pytest.raises(errors.Conflict, match="has ended"):
        await chat.service.replies.cancel(reply.reply_id)


async def test_a_reply_stopped_before_it_says_anything_leaves_nothing(idle: Chat) -> None:
    waiting = await idle.ask("echo")
    assert (await idle.service.replies.cancel(waiting.reply_id)).status == "cancelled"
    assert [event.kind for event in await idle.followed(waiting)] == ["stop", "cancelled"]
    async with at_work(idle.service):
        silent = await idle.ask("think hm|stall")
        await idle.seen(silent, "hm")
        begun = await idle.ask("stall")
        assert begun.duplicate  # the first is still at it
        await idle.service.replies.cancel(silent.reply_id)
        assert (await idle.ended(silent)).status == "completed"  # it had thought aloud
    assert await idle.texts() == ["How are you, Luna?", ""]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("delete", "parent_deleted"),
        ("edit", "parent_edited"),
        ("append", "superseded"),
        ("hide", "parent_deleted"),
    ],
)
@pytest.mark.parametrize("when", ["waiting", "saying", "storing"])
async def test_what_is_not_wanted_any_longer_is_not_stored(
    idle: Chat, monkeypatch: pytest.MonkeyPatch, change: str, reason: str, when: str
) -> None:
    monkeypatch.setattr(making, "_LOOK_EVERY", 0.05 if when == "saying" else 60)
    [question] = (await idle.service.messages.history(idle.conversation)).items
    gate = f"{when} {change}"
    reply = await idle.ask(f"say one|gate {gate}|say  two")

    async def act() -> None:
        messages = idle.service.messages
        match change:
            case "delete":
                await messages.delete(idle.conversation, question.message_id)
            case "hide":
                await messages.hide(idle.conversation, question.message_id)
            case "edit":
                await messages.edit(idle.conversation, question.message_id, "other words")
            case _:
                await idle.say("and another thing")

    if when == "waiting":
        await act()
    async with at_work(idle.service):
        if when != "waiting":
            await idle.seen(reply, "one")
            await act()
        if when != "saying":
            open_gate(gate)
        status = await idle.ended(reply)
    assert (status.status, status.reason) == ("cancelled", reason)
    assert "one two" not in await idle.texts()
    last = (await idle.followed(reply))[-1]
    assert (last.kind, last.reason) == ("cancelled", reason)


async def test_what_does_not_change_the_question_does_not_cancel_its_reply(chat: Chat) -> None:
    [question] = (await chat.service.messages.history(chat.conversation)).items
    reply = await chat.ask("say one|gate pinned|say  two")
    await chat.seen(reply, "one")
    await chat.service.messages.pin(chat.conversation, question.message_id)
    await chat.service.messages.feedback(chat.conversation, question.message_id, "up")
    open_gate("pinned")
    assert (await chat.ended(reply)).status == "completed"


@pytest.mark.parametrize(
    ("script", "options", "reason"),
    [
        ("fail unauthorized", {}, "unauthorized"),
        ("fail model_unknown", {}, "model_unknown"),
        ("fail request_refused", {}, "request_refused"),
        ("garbage", {}, "garbage"),
        ("pause 0", {}, "empty_reply"),
        ("say a|cut", {}, "cut_off"),
        ("stall", {"timeout_seconds": 0.2}, "total_timeout"),
        ("call weather {oops", {}, "invalid_tool_call"),
        ("m", {"llm_provider": "openai"}, "key_missing"),
        ("m", {"llm_provider": "claude"}, "key_missing"),
    ],
)
async def test_each_failure_ends_in_a_stated_reason(
    chat: Chat, script: str, options: dict[str, Any], reason: str
) -> None:
    reply = await chat.ask(script, **options)
    status = await chat.ended(reply)
    assert (status.status, status.reason) == ("failed", reason)
    assert status.problem
    events = await chat.followed(reply)
    assert (events[-1].kind, events[-1].reason) == ("failed", reason)
    assert await chat.texts() == ["How are you, Luna?"]
    assert not (await chat.ask("echo")).duplicate  # it can be asked for again


async def test_a_provider_that_wants_to_be_asked_later_is(chat: Chat) -> None:
    reply = await chat.ask("first 1 fail rate_limited 11|echo")

    async def waits() -> bool:
        status = await chat.service.replies.get(reply.reply_id)
        return status.status == "pending" and status.reason == "rate_limited"

    await until("the reply to be put off", waits)
    job = await chat.service.jobs.get(reply.reply_id)
    later = job.queue_metadata.retry_after
    assert later is not None
    assert (later - job.updated_at).total_seconds() > 10


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"llm_provider": "nobody"}, "llm_provider"),
        ({"fallbacks": ["nobody:m"]}, "fallbacks"),
        ({"fallbacks": ["openai"]}, "fallbacks"),
        ({"temperature": -1}, "temperature"),
        ({"max_tokens": 500, "context_tokens": 400}, "max_tokens"),
        ({"context_window_size": 0}, "context_window_size"),
        ({"on_interruption": "weep"}, "on_interruption"),
        ({"tools": [{"name": "no spaces"}]}, "tools"),
        ({"no_such_option": 1}, "no_such_option"),
        ({"branch": "nowhere"}, "branch"),
    ],
)
async def test_wrong_options_are_named_at_once(
    idle: Chat, options: dict[str, Any], field: str
) -> None:
    with pytest.raises(errors.MessageServiceError, match=field):
        await idle.service.replies.request(idle.conversation, **options)
    assert not (await idle.service.jobs.list()).items


async def test_a_context_that_cannot_fit_is_told(chat: Chat) -> None:
    await chat.say("word " * 2_000)
    reply = await chat.ask("echo", context_tokens=200, max_tokens=50)
    status = await chat.ended(reply)
    assert (status.status, status.reason) == ("failed", "context_budget_too_small")
    assert "context_tokens" in (status.problem or "")
    with pytest.raises(errors.ContextBudgetTooSmall, match="context_tokens"):
        await chat.service.replies.preview(chat.conversation, context_tokens=200, max_tokens=50)
