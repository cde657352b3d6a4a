"""Replies: asked for once, followed by many, stored once, replaced and continued."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from message_service import (
    Reply,
    errors,
)
from message_service.generation.ordering import Ordering
from message_service.generation.provider import Used
from message_service.generation.providers.scripted import open_gate
from message_service.messages.continuations import joined
from support.job_handlers import at_work
from support.reply_chat import Chat, said


async def test_a_reply_is_a_message_with_all_that_is_known_of_it(chat: Chat) -> None:
    question = (await chat.service.messages.history(chat.conversation)).items[0].message_id
    reply = await chat.ask("pace 0.001|echo", temperature=0.5, stop_sequences=["END"])
    events = await chat.followed(reply)
    assert (events[0].kind, events[0].provider) == ("begin", "scripted")
    assert said(events) == "How are you, Luna?"
    assert [event.offset for event in events] == list(range(len(events)))
    end = events[-1]
    assert (end.kind, end.message_id, end.finish_reason) == ("end", reply.message_id, "stop")
    assert await chat.texts() == ["How are you, Luna?", "How are you, Luna?"]
    message = await chat.stored(reply)
    assert (message.role, message.relationships.parent_message_id) == ("assistant", question)
    llm, usage, context = message.llm_metadata, message.token_usage, message.context_metadata
    assert llm is not None
    assert usage is not None
    assert context is not None
    assert (llm.provider, llm.model, llm.temperature) == ("scripted", "pace 0.001|echo", 0.5)
    assert (llm.finish_reason, llm.stop_sequences) == ("stop", ["END"])
    assert usage.total_tokens == (usage.prompt_tokens or 0) + (usage.completion_tokens or 0) > 0
    assert usage.total_cost is not None
    assert context.messages_in_context == 1
    assert context.context_tokens == context.effective_context_length
    assert context.context_hash is not None
    times = message.processing_metadata
    assert times is not None
    assert times.llm_processing_time_ms is not None
    assert times.time_to_first_token_ms is not None
    assert times.time_to_first_token_ms <= times.llm_processing_time_ms
    status = await chat.service.replies.get(reply.reply_id)
    assert (status.status, status.message_id) == ("completed", reply.message_id)


async def test_asking_again_is_the_same_reply(idle: Chat) -> None:
    first = await idle.ask("echo", request_id="r1")
    assert not first.duplicate
    again = await idle.ask("echo", request_id="r1")
    other = await idle.ask("say something else")  # the same question, still unanswered
    assert {again.reply_id, other.reply_id} == {first.reply_id}
    assert again.duplicate
    assert other.message_id == first.message_id
    async with at_work(idle.service):
        await idle.ended(first)
    late = await idle.ask("echo", request_id="r1")
    assert (late.reply_id, late.message_id, late.duplicate) == (
        first.reply_id,
        first.message_id,
        True,
    )
    with pytest.raises(errors.Conflict, match="regenerate or continue"):
        await idle.ask("echo")
    assert len(await idle.texts()) == 2


async def test_a_reply_made_while_its_request_is_repeated_is_found(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = Ordering.known
    looked: list[Reply | None] = []
    made: list[Reply] = []

    async def late(self: Ordering, conversation: str, request_id: str | None) -> Reply | None:
        looked.append(await known(self, conversation, request_id))
        if len(looked) == 1:
            made.append(await first(conversation, request_id=request_id, model="echo"))
            await chat.ended(made[0])
            return None
        return looked[-1]

    replies = chat.service.replies
    for first in (replies.request, replies.continue_):
        made.clear()
        looked.clear()
        with monkeypatch.context() as patched:
            patched.setattr(Ordering, "known", late)
            again = await first(chat.conversation, request_id=first.__name__, model="echo")
        assert looked[:2] == [None, None]  # neither of the two saw the other's reply
        assert again.duplicate
        assert again.reply_id == made[0].reply_id
    assert len(await chat.texts()) == 3


async def test_asking_at_once_is_one_reply(idle: Chat) -> None:
    for round_ in range(10):
        if round_:
            await idle.say("and now?")
        named = {"request_id": f"r{round_}"} if round_ % 2 else {}
        several = await asyncio.gather(*(idle.ask("echo", **named) for _ in range(6)))
        assert len({(each.reply_id, each.message_id) for each in several}) == 1
        assert sum(not each.duplicate for each in several) == 1
    assert len((await idle.service.jobs.list()).items) == 10


async def test_many_follow_from_anywhere(chat: Chat) -> None:
    reply = await chat.ask("say one two|gate many|say  three four")
    offset = await chat.seen(reply, "two")
    before = asyncio.gather(*(chat.followed(reply) for _ in range(5)))
    tail = asyncio.gather(*(chat.followed(reply, after=offset) for _ in range(5)))
    await chat.seen(reply, "two")
    open_gate("many")
    for events in await before:
        assert said(events) == "one two three four"
    for events in await tail:
        assert said(events) == " three four"
        assert events[0].offset == offset + 1
    late = await chat.followed(reply)
    assert said(late) == "one two three four"
    assert [event.kind for event in await chat.followed(reply, after=late[-1].offset)] == ["end"]


async def test_what_is_not_kept_any_longer(chat: Chat) -> None:
    entries = chat.service.store.collection("reply_entries")
    done = await chat.ask("pace 0.001|echo")
    whole = await chat.followed(done)
    await entries.delete_many({"reply_id": done.reply_id, "number": {"$lt": 3}})
    assert await chat.followed(done) == [whole[-1]]  # its end says all
    assert await chat.followed(done, after=2) == whole[3:]
    await entries.delete_many({"reply_id": done.reply_id})
    [end] = await chat.followed(done)
    assert (end.kind, end.message_id) == ("end", done.message_id)
    await chat.say("And now?")
    live = await chat.ask("say one|gate kept|say two")
    await chat.seen(live, "one")
    await entries.delete_many({"reply_id": live.reply_id, "number": 0})
    with pytest.raises(errors.InvalidInput, match="after: lies before what is kept"):
        await chat.followed(live)
    open_gate("kept")
    assert (await chat.ended(live)).status == "completed"


async def test_tool_calls_reasoning_and_refusals_are_stored(chat: Chat) -> None:
    reply = await chat.ask('think hm|say I look.|call weather {"place": "Rome"}|finish tool_calls')
    assert (await chat.ended(reply)).finish_reason == "tool_calls"
    message = await chat.stored(reply)
    kinds = [part.type for part in message.content.parts or ()]
    assert kinds == ["reasoning", "text", "tool_call"]
    assert message.content.call_ids == ["call_weather"]
    await chat.service.messages.append(
        chat.conversation, "tool", "sunny", tool_call_id="call_weather"
    )
    prompt = await chat.service.replies.preview(chat.conversation)
    assert [turn.role for turn in prompt.turns] == ["user", "assistant", "tool"]
    refused = await chat.ask("refuse I will not.")
    await chat.ended(refused)
    parts = (await chat.stored(refused)).content.parts or ()
    assert [part.type for part in parts] == ["refusal"]
    assert (await chat.texts())[-1] == "I will not."


async def test_regenerating_makes_a_branch_and_swiping_moves_between_them(chat: Chat) -> None:
    replies = chat.service.replies
    await chat.ended(await chat.ask("say first"))
    again = await replies.regenerate(chat.conversation, model="say second", request_id="again")
    await chat.ended(again)
    same = await replies.regenerate(chat.conversation, model="say second", request_id="again")
    assert (same.reply_id, same.branch) == (again.reply_id, again.branch)
    third = await replies.regenerate(chat.conversation, model="say third")
    await chat.ended(third)
    assert await chat.texts() == ["How are you, Luna?", "third"]
    assert await chat.texts("main") == ["How are you, Luna?", "first"]
    several = await replies.alternatives(chat.conversation)
    assert [(each.message.text, each.active) for each in several] == [
        ("first", False),
        ("second", False),
        ("third", True),
    ]
    with pytest.raises(errors.Conflict, match="regenerate makes one"):
        await replies.swipe(chat.conversation)
    assert (await replies.swipe(chat.conversation, -2)).message.text == "first"
    assert await chat.texts() == ["How are you, Luna?", "first"]
    await chat.say("Thanks.")
    assert (await replies.alternatives(chat.conversation, third.message_id))[0].active
    with pytest.raises(errors.Conflict, match="is not a reply"):
        await replies.regenerate(chat.conversation)


async def test_a_continuation_reads_as_one_message(chat: Chat) -> None:
    first = await chat.ask("say Once upon|finish length")
    await chat.ended(first)
    more = await chat.service.replies.continue_(chat.conversation, model="say  a time.")
    assert (await chat.ended(more)).finish_reason == "stop"
    page = await chat.service.messages.history(chat.conversation)
    assert page.items[-1].continues_message_id == first.message_id
    assert joined(page.items)[-1].text == "Once upon a time."
    await chat.say("Go on.")
    with pytest.raises(errors.Conflict, match="does not end with a reply"):
        await chat.service.replies.continue_(chat.conversation)


async def test_a_usage_block_that_makes_no_sense_is_a_visible_state(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint = chat.service.tenant("default").replies._shared.endpoints.of("scripted")  # pyright: ignore[reportPrivateUsage]
    stream = endpoint.provider().stream

    async def mad(request: Any) -> AsyncIterator[Any]:
        async for event in stream(request):
            yield Used({"prompt_tokens": -5}) if isinstance(event, Used) else event

    monkeypatch.setattr(endpoint.provider(), "stream", mad)
    reply = await chat.ask("say hello")
    assert (await chat.ended(reply)).status == "completed"
    message = await chat.stored(reply)
    assert message.token_usage is not None
    assert message.token_usage.usage_state == "unknown"


async def test_a_reply_of_another_kind_of_job_is_not_found(chat: Chat) -> None:
    job = await chat.service.jobs.enqueue("message_processing")
    for call in (chat.service.replies.get, chat.service.replies.wait, chat.service.replies.cancel):
        with pytest.raises(errors.NotFound, match="reply"):
            await call(job.job_id)
