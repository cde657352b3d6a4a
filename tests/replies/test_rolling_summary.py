"""What falls out of a prompt's window is summarised by a job, version by version."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from pymongo.asynchronous.database import AsyncDatabase

from message_service import ConversationSummary, Job, JobRegistry, MessageService, Settings
from message_service.documents.row import Row
from support.job_handlers import at_work
from support.waiting import soon, until

USER = "user_000000000001"
SMALL: dict[str, Any] = {"context_tokens": 400, "max_tokens": 100, "summarise": True}


@pytest.fixture
async def scripted(
    service: MessageService, mongo_uri: str, settings: Settings, database: AsyncDatabase[Row]
) -> AsyncIterator[MessageService]:
    async with await MessageService.connect(
        mongo_uri,
        settings=settings,
        database=database.name,
        registry=JobRegistry(),
        llm_provider="scripted",
        queue_poll=0.1,
    ) as connected:
        yield connected


async def _conversation(service: MessageService, messages: int = 40) -> str:
    made = await service.conversations.create(USER)
    for number in range(messages):
        role = "assistant" if number % 2 else "user"
        await service.messages.append(made.conversation_id, role, f"word {number} and some more")
    await service.messages.append(made.conversation_id, "user", "What now?")
    return made.conversation_id


async def _reply(service: MessageService, conversation: str, script: str, **options: Any) -> Row:
    reply = await service.replies.request(conversation, model=script, **{**SMALL, **options})
    status = await soon("the reply", service.replies.wait(reply.reply_id))
    assert status.status == "completed", status
    return (await service.messages.get(conversation, reply.message_id)).raw


async def _summarised(service: MessageService, count: int = 1) -> list[Job]:
    """Return the jobs of summaries, newest first, once there are so many and all have ended."""

    async def ended() -> list[Job] | None:
        jobs = (await service.jobs.list(job_type="context_summary")).items
        live = [job for job in jobs if job.status in ("pending", "processing")]
        return None if live or len(jobs) < count else jobs

    return await until("the summary", ended)


async def _versions(service: MessageService, conversation: str) -> list[ConversationSummary]:
    return [*await service.conversations.summary_versions(conversation)]


async def test_a_window_that_is_left_behind_is_summarised_version_by_version(
    scripted: MessageService,
) -> None:
    conversation = await _conversation(scripted)
    before = (await scripted.messages.check(conversation)).digest
    async with at_work(scripted):
        first = await _reply(scripted, conversation, "say All about words.")
        [job] = await _summarised(scripted)
        assert job.status == "completed", job.execution
        [one] = await _versions(scripted, conversation)
        assert (one.version, one.text) == (1, "All about words.")
        assert one.made_by == "scripted/say All about words."
        usage = one.token_usage
        assert usage is not None
        assert (usage.usage_state, usage.total_cost) == ("known", 0)
        assert (usage.prompt_tokens or 0) > (usage.completion_tokens or 0) > 0
        window = (await scripted.replies.preview(conversation, **_sizes())).window
        assert 8 <= one.up_to_sequence < 41
        assert window.summary == "All about words."
        # What was asked for was sent before there was a summary.
        told = first["context_metadata"]
        assert told["effective_context_length"] == told["context_tokens"]

        for number in range(30):
            await scripted.messages.append(conversation, "user", f"thing {number} happened then")
        second = await _reply(scripted, conversation, "say Words, then things.")
        told = second["context_metadata"]
        assert one.source_tokens is not None
        assert told["effective_context_length"] > told["context_tokens"] > 100
        assert told["context_compression_ratio"] == pytest.approx(
            told["context_tokens"] / told["effective_context_length"], abs=1e-4
        )
        await _summarised(scripted, 2)
        *_, two = await _versions(scripted, conversation)
    assert two.version > 1
    assert two.text == "Words, then things."
    assert two.up_to_sequence > one.up_to_sequence
    assert (two.source_tokens or 0) > one.source_tokens
    kept = await scripted.messages.history(conversation, limit=100)
    assert [message.text for message in kept][:2] == [
        "word 0 and some more",
        "word 1 and some more",
    ]
    after = await scripted.messages.check(conversation)
    assert after.complete
    assert after.digest != before  # new messages, none of them changed
    assert all(message.revision == 1 for message in kept)


def _sizes() -> dict[str, Any]:
    return {name: SMALL[name] for name in ("context_tokens", "max_tokens")}


async def test_a_long_stretch_is_summarised_in_rounds(scripted: MessageService) -> None:
    conversation = await _conversation(scripted, 90)
    async with at_work(scripted):
        await _reply(scripted, conversation, "say Short.")
        [job] = await _summarised(scripted)
    versions = await _versions(scripted, conversation)
    assert len(versions) > 1  # not all of it fits one prompt
    assert [each.version for each in versions] == [*range(1, len(versions) + 1)]
    ends = [each.up_to_sequence for each in versions]
    assert ends == sorted(set(ends))
    assert job.execution.result == {"up_to_sequence": ends[-1]}


async def test_a_failing_model_leaves_the_summary_as_it_is(scripted: MessageService) -> None:
    conversation = await _conversation(scripted)
    await scripted.conversations.set_summary(conversation, "By hand.", up_to_sequence=5)
    async with at_work(scripted):
        # The reply's script fails on a prompt it has seen before: the summary's is another one.
        await _reply(scripted, conversation, "first 9 say Fine.|finish stop")
        [job] = await _summarised(scripted)
        assert job.status == "completed"
        await scripted.messages.append(conversation, "user", "And?")
        await _reply(scripted, conversation, "say Yes.", summarise=False)
    assert len(await _summarised(scripted)) == 1  # not asked for
    versions = await _versions(scripted, conversation)
    assert [each.text for each in versions] == ["By hand.", "Fine."]
    assert versions[0].made_by is None
    assert versions[1].source_tokens is None  # what a caller's stands for is not known
    prompt = await scripted.replies.preview(conversation, **_sizes())
    assert "context_compression_ratio" not in prompt.context_metadata()


async def test_nothing_is_summarised_while_all_fits(scripted: MessageService) -> None:
    conversation = await _conversation(scripted, 10)
    async with at_work(scripted):
        await _reply(scripted, conversation, "echo", context_tokens=4_000)
    assert not (await scripted.jobs.list(job_type="context_summary")).items
    assert not await _versions(scripted, conversation)
