"""Jobs and what they write: with their message, its steps, effects that are committed."""

from __future__ import annotations

import gc
from datetime import UTC, datetime

import pytest

from message_service import (
    Enqueued,
    MessageService,
    RunningJob,
    Tenant,
    Transaction,
    errors,
)
from support.job_handlers import Handlers, at_work, ended
from support.waiting import until

USER = "user_000000000001"
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


async def test_a_job_is_stored_with_its_message_or_not_at_all(queue: MessageService) -> None:
    made = await queue.conversations.create(USER)

    async def both(transaction: Transaction) -> Enqueued:
        said = await queue.messages.append(
            made.conversation_id, "user", "hello", within=transaction
        )
        return await queue.jobs.enqueue(
            "note",
            message_id=said.message_id,
            conversation_id=made.conversation_id,
            lane=made.conversation_id,
            within=transaction,
        )

    async def neither(transaction: Transaction) -> None:
        await both(transaction)
        raise errors.Conflict("thought better of it")

    with pytest.raises(errors.Conflict):
        await queue.transaction(neither)
    assert not list(await queue.messages.history(made.conversation_id))
    done = await queue.transaction(both)
    async with at_work(queue):
        [job] = await ended(queue, done)
    [message] = await queue.messages.history(made.conversation_id)
    assert (job.message_id, job.status) == (message.message_id, "completed")


async def test_the_steps_of_a_message_are_those_of_its_job(queue: MessageService) -> None:
    made = await queue.conversations.create(USER)

    async def both(transaction: Transaction) -> Enqueued:
        said = await queue.messages.append(
            made.conversation_id, "user", "How are you, Luna?", within=transaction
        )
        return await queue.jobs.enqueue(
            "message_processing",
            message_id=said.message_id,
            conversation_id=made.conversation_id,
            within=transaction,
        )

    done = await queue.transaction(both)
    async with at_work(queue, loops=True) as worker:
        assert await queue.jobs.result(done.job_id, 30) == {"sequence_number": 1, "revision": 1}
    job = await queue.jobs.get(done.job_id)
    assert job.queue_metadata.lane == made.conversation_id
    assert job.message_id is not None
    [found] = await queue.jobs.of_message(made.conversation_id, job.message_id)
    assert found.job_id == done.job_id
    [stored] = await queue.messages.history(made.conversation_id, full=True)
    message = stored.document()
    assert message.enrichment is not None
    assert message.enrichment.version
    times, figures = message.timestamps, message.processing_metadata
    assert figures is not None
    assert times.queued_at == job.created_at
    assert times.received_at == times.created_at
    assert times.processing_started_at == job.execution.started_at
    assert times.processed_at == times.completed_at == job.execution.completed_at
    assert times.processing_started_at is not None
    assert times.completed_at is not None
    assert times.received_at is not None
    assert (figures.worker_id, figures.retry_count, figures.error_count) == (worker.name, 0, 0)
    queued = times.processing_started_at - job.created_at
    assert figures.queue_time_ms == max(0, round(queued.total_seconds() * 1000))
    latency = times.completed_at - times.received_at
    assert figures.total_latency_ms == round(latency.total_seconds() * 1000)
    assert figures.processing_time_ms == job.execution.processing_time_ms


async def test_a_message_no_indexer_has_come_to_is_waited_for(queue: MessageService) -> None:
    made = await queue.conversations.create(USER)
    said = await queue.messages.append(made.conversation_id, "user", "Is anybody there?")
    async with at_work(queue):
        done = await queue.jobs.enqueue(
            "message_processing",
            message_id=said.message_id,
            conversation_id=made.conversation_id,
        )

        async def snoozed() -> bool:
            return (await queue.jobs.get(done.job_id)).execution.reason == "snoozed"

        await until("it waits for the index", snoozed)
        [because] = (await queue.jobs.explain(done.job_id)).because
        assert "see that an indexer runs" in because.text
        await queue.search_index.drain()
        [job] = await ended(queue, done)
    assert (job.status, job.execution.attempts) == ("completed", 1)


async def test_a_message_that_is_not_there_is_given_up(queue: MessageService) -> None:
    made = await queue.conversations.create(USER)
    async with at_work(queue):
        gone = await queue.jobs.enqueue(
            "message_processing",
            message_id="msg_000000000001",
            conversation_id=made.conversation_id,
        )
        bare = await queue.jobs.enqueue("message_processing")
        for job in await ended(queue, gone, bare):
            assert (job.status, job.execution.reason) == ("failed", "gave_up")


async def test_counters_are_computed_by_a_job(queue: MessageService) -> None:
    made = await queue.conversations.create(USER)
    await queue.messages.append(
        made.conversation_id, "assistant", "hi", token_usage={"total_tokens": 5}
    )
    async with at_work(queue):
        done = await queue.jobs.enqueue("analytics_computation")
        assert await queue.jobs.result(done.job_id, 20) == {"counted": 1, "summarised": 1}


async def test_an_effect_is_committed_with_the_end_of_its_job(
    queue: MessageService, handlers: Handlers
) -> None:
    made = await queue.conversations.create(USER)

    @handlers.registry.handler("says")
    async def says(job: RunningJob, tenant: Tenant) -> None:
        async def work(transaction: Transaction) -> None:
            await tenant.messages.append(
                made.conversation_id, "assistant", "done", within=transaction
            )
            if job.config.get("breaks") and job.attempt == 1:
                raise ValueError("after the write")

        await job.commit(work, {"attempt": job.attempt})

    async with at_work(queue):
        done = await queue.jobs.enqueue("says", {"breaks": True}, retry_delay_seconds=0.01)
        assert await queue.jobs.result(done.job_id, 20) == {"attempt": 2}
    assert len(list(await queue.messages.history(made.conversation_id))) == 1


async def test_what_a_handler_does_after_its_commit_is_not_cut_short(
    queue: MessageService, handlers: Handlers
) -> None:
    """The job has ended then, so its lease is no longer renewed: a heartbeat must not end it."""

    @handlers.registry.handler("lingers")
    async def lingers(job: RunningJob, _tenant: Tenant) -> None:
        async def nothing(_transaction: Transaction) -> None:
            pass

        await job.commit(nothing)
        await handlers.gate.wait()
        handlers.ran.append("to the end")

    async def lease_of(job_id: str) -> datetime:
        lease = (await queue.jobs.get(job_id)).lease
        assert lease is not None
        assert lease.until is not None
        return lease.until

    async with at_work(queue):
        done = await queue.jobs.enqueue("lingers")
        [job] = await ended(queue, done)
        assert job.status == "completed"
        other = await queue.jobs.enqueue("holds")
        await handlers.began.wait()
        for _ in range(2):  # heartbeats, with which the first job is not held any longer
            before = await lease_of(other.job_id)

            async def is_renewed(before: datetime = before) -> bool:
                return await lease_of(other.job_id) > before

            await until("a heartbeat", is_renewed)
        handlers.gate.set()
    assert "to the end" in handlers.ran


async def test_a_worker_keeps_nothing_of_the_jobs_it_has_run(
    queue: MessageService, handlers: Handlers
) -> None:
    """Objects are counted, not bytes: one that is kept of each job shows, and nothing else does."""
    several = [{"job_type": "note", "config": {"n": n}} for n in range(500)]
    counts: list[int] = []
    async with at_work(queue, concurrency=50) as worker:
        for turn in range(1, 7):
            await queue.jobs.enqueue_many(several)
            total = turn * len(several)
            await until("all are done", lambda total=total: worker.figures.completed == total)
            handlers.ran.clear()
            handlers.together.clear()
            gc.collect()
            counts.append(len(gc.get_objects()))
    # The next look at the queue may be on its way: some hundred objects, not at each turn.
    assert min(counts[3:]) - min(counts[:3]) < 500, counts
