"""The queue through its public calls: enqueue, run, retry, cancel, lanes, dependencies, keys."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from message_service import (
    Enqueued,
    EnqueueOutcome,
    JobRegistry,
    JobStatus,
    MessageService,
    OnDuplicate,
    RunningJob,
    Settings,
    Tenant,
    Transaction,
    errors,
)
from message_service.database.client import Database
from support.job_handlers import Handlers, at_work
from support.waiting import until

USER = "user_000000000001"
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


def later(seconds: float) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


@pytest.fixture
def handlers() -> Handlers:
    return Handlers()


@pytest.fixture
async def queue(
    service: MessageService,
    handlers: Handlers,
    mongo_uri: str,
    settings: Settings,
    database: Database,
) -> AsyncIterator[MessageService]:
    """A service that knows the handlers."""
    async with await MessageService.connect(
        mongo_uri,
        settings=settings,
        database=database.name,
        registry=handlers.registry,
        queue_lease=2,
        queue_poll=0.2,
    ) as connected:
        yield connected


async def ended(service: MessageService, *several: Enqueued) -> list[Any]:
    return [await service.jobs.wait(each.job_id, 20) for each in several]


async def test_a_job_runs_and_tells_its_result(queue: MessageService) -> None:
    async with at_work(queue) as worker:
        done = await queue.jobs.enqueue("note", {"n": 1}, priority="high", user_id=USER)
        assert await queue.jobs.result(done.job_id, 20) == {"n": 1}
        job = await queue.jobs.get(done.job_id)
    assert (job.status, job.priority, job.priority_rank) == ("completed", "high", 2)
    assert (job.execution.attempts, job.execution.worker_id) == (1, worker.name)
    assert job.execution.started_at is not None
    assert job.execution.completed_at is not None
    assert job.execution.processing_time_ms is not None
    assert job.queue_metadata.queue_name == "note"
    assert job.attention_at is None
    assert worker.figures.completed == 1


async def test_handlers_run_in_threads_too_and_get_their_tenant(queue: MessageService) -> None:
    jobs = queue.tenant("acme").jobs
    async with at_work(queue):
        done = await jobs.enqueue("in_thread")
        assert await jobs.result(done.job_id, 20) == {"tenant": "acme", "type": "in_thread"}


async def test_failed_attempts_are_repeated_and_noted(queue: MessageService) -> None:
    async with at_work(queue):
        done = await queue.jobs.enqueue("fails", {"times": 2})
        assert await queue.jobs.result(done.job_id, 20) == {"attempt": 3}
        dead = await queue.jobs.enqueue("fails")
        with pytest.raises(errors.JobFailed, match="handler_error"):
            await queue.jobs.result(dead.job_id, 20)
        job = await queue.jobs.get(dead.job_id)
    assert (job.status, job.execution.attempts, job.execution.reason) == (
        "failed",
        3,
        "handler_error",
    )
    assert job.execution.error_message == "ValueError: so it goes"
    assert [each.attempt for each in job.execution.failures or ()] == [1, 2, 3]


async def test_a_dead_job_is_retried_by_hand(queue: MessageService, handlers: Handlers) -> None:
    async with at_work(queue):
        dead = await queue.jobs.enqueue("fails", {"times": 3}, max_attempts=1)
        await ended(queue, dead)
        await queue.jobs.retry(dead.job_id)
        [job] = await ended(queue, dead)
        assert (job.status, job.execution.attempts) == ("failed", 1)
        assert handlers.ran == [1, 1]
        done = await queue.jobs.enqueue("note")
        await ended(queue, done)
        with pytest.raises(errors.Conflict, match="completed"):
            await queue.jobs.retry(done.job_id)


@pytest.mark.parametrize(
    ("job_type", "reason", "says"),
    [
        ("gives_up", "gave_up", "there is no such thing"),
        ("exits", "handler_error", "RuntimeError: the handler raised SystemExit"),
    ],
)
async def test_a_handler_can_give_up_and_cannot_end_the_worker(
    queue: MessageService, job_type: str, reason: str, says: str
) -> None:
    async with at_work(queue):
        dead = await queue.jobs.enqueue(job_type)
        [job] = await ended(queue, dead)
        assert (job.status, job.execution.reason, job.execution.attempts) == ("failed", reason, 1)
        assert job.execution.error_message == says
        asks = await queue.jobs.enqueue("asks")
        assert await queue.jobs.result(asks.job_id, 20) == {"attempt": 2}


@pytest.mark.parametrize("what", ["set", "list", "big"])
async def test_a_result_that_cannot_be_stored_is_a_visible_failure(
    queue: MessageService, what: str
) -> None:
    async with at_work(queue):
        done = await queue.jobs.enqueue("returns", {"what": what})
        [job] = await ended(queue, done)
    assert (job.status, job.execution.reason) == ("failed", "result_not_storable")
    assert job.execution.error_message.startswith("result")


async def test_an_attempt_has_a_time_limit(queue: MessageService) -> None:
    async with at_work(queue):
        slow = await queue.jobs.enqueue("holds", {"timeout_seconds": 0.05}, max_attempts=1)
        [job] = await ended(queue, slow)
    assert (job.status, job.execution.reason) == ("failed", "timeout")


async def test_priorities_run_first_and_old_jobs_before_them(
    queue: MessageService, handlers: Handlers
) -> None:
    for n, priority in enumerate(("low", "normal", "urgent", "high", "normal")):
        await queue.jobs.enqueue("note", {"n": n}, priority=priority)
    async with at_work(queue, concurrency=1):
        await until("all have run", lambda: len(handlers.ran) == 5)
    assert handlers.ran == [2, 3, 1, 4, 0]


async def test_ageing_keeps_low_jobs_from_starving(
    handlers: Handlers, service: MessageService, mongo_uri: str, settings: Settings
) -> None:
    """With one second for a rank, a low job goes before an urgent one of four seconds later."""

    class Clock:
        moment = datetime(2026, 1, 1, tzinfo=UTC)

        def now(self) -> datetime:
            return self.moment

    clock = Clock()
    async with await MessageService.connect(
        mongo_uri,
        settings=settings,
        clock=clock,
        database=service.settings.database,
        registry=handlers.registry,
        queue_ageing=1,
    ) as queue:
        for n, (second, priority) in enumerate(((0, "low"), (2, "urgent"), (4, "urgent"))):
            clock.moment = datetime(2026, 1, 1, 0, 0, second, tzinfo=UTC)
            await queue.jobs.enqueue("note", {"n": n}, priority=priority)
        async with at_work(queue, concurrency=1):
            await until("all have run", lambda: len(handlers.ran) == 3)
    assert handlers.ran == [1, 0, 2]


async def test_a_scheduled_job_waits_and_an_expired_one_fails(
    queue: MessageService, handlers: Handlers
) -> None:
    soon = await queue.jobs.enqueue("note", {"n": "soon"}, scheduled_for=later(0.5))
    far = await queue.jobs.enqueue("note", {"n": "far"}, scheduled_for=later(3_600))
    late = await queue.jobs.enqueue(
        "note", {"n": "late"}, scheduled_for=later(0.3), expires_at=later(0.31), queue="nobody"
    )
    async with at_work(queue):
        [job, gone] = await ended(queue, soon, late)
        assert job.execution.started_at >= job.queue_metadata.scheduled_for
        assert (gone.status, gone.execution.reason) == ("failed", "expired")
        assert (await queue.jobs.get(far.job_id)).status == "pending"
    assert handlers.ran == ["soon"]


async def test_a_lane_runs_in_order_one_at_a_time(
    queue: MessageService, handlers: Handlers
) -> None:
    jobs = [
        await queue.jobs.enqueue("note", {"n": f"{lane}{n}"}, lane=lane)
        for n in range(10)
        for lane in ("a", "b")
    ]
    async with at_work(queue, concurrency=8):
        await ended(queue, *jobs)
    for lane in ("a", "b"):
        mine = [name for name in handlers.ran if name[0] == lane]
        assert mine == [f"{lane}{n}" for n in range(10)]
    assert all(len({name[0] for name in group}) == len(group) for group in handlers.together)


async def test_a_lane_waits_for_a_retry_but_not_for_a_schedule_or_a_dead_job(
    queue: MessageService, handlers: Handlers
) -> None:
    far = await queue.jobs.enqueue("note", {"n": "far"}, lane="a", scheduled_for=later(3_600))
    again = await queue.jobs.enqueue("fails", {"times": 1}, lane="a")
    dead = await queue.jobs.enqueue("gives_up", lane="a")
    last = await queue.jobs.enqueue("note", {"n": "last"}, lane="a")
    async with at_work(queue):
        await ended(queue, again, dead, last)
    assert handlers.ran == [1, 2, "gives_up", "last"]
    assert (await queue.jobs.get(far.job_id)).status == "pending"


async def test_jobs_wait_for_others(queue: MessageService, handlers: Handlers) -> None:
    first = await queue.jobs.enqueue("holds", {"n": 1})
    second = await queue.jobs.enqueue("note", {"n": 2}, depends_on=[first.job_id])
    third = await queue.jobs.enqueue("note", {"n": 3}, depends_on=[first.job_id, second.job_id])
    async with at_work(queue):
        await handlers.began.wait()
        assert (await queue.jobs.get(second.job_id)).status == "pending"
        handlers.gate.set()
        await ended(queue, third)
        after = await queue.jobs.enqueue("note", {"n": 4}, depends_on=[first.job_id])
        await ended(queue, after)
    assert handlers.ran == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("policy", "status", "reason"),
    [
        ("fail", "failed", "dependency_failed"),
        ("skip", "cancelled", "dependency_failed"),
        ("run", "completed", None),
    ],
)
async def test_a_failed_dependency(
    queue: MessageService, policy: str, status: str, reason: str | None
) -> None:
    async with at_work(queue):
        dead = await queue.jobs.enqueue("gives_up")
        before = await queue.jobs.enqueue(
            "note", depends_on=[dead.job_id], on_failed_dependency=policy
        )
        await ended(queue, dead)
        after = await queue.jobs.enqueue(
            "note", depends_on=[dead.job_id], on_failed_dependency=policy
        )
        for job in await ended(queue, before, after):
            assert (job.status, job.execution.reason) == (status, reason)
        behind = await queue.jobs.enqueue("note", depends_on=[before.job_id])
        [job] = await ended(queue, behind)
        assert job.status == ("completed" if policy == "run" else "failed")


async def test_a_long_chain_of_failures_comes_to_its_end(queue: MessageService) -> None:
    ids = [f"job_{n:012}" for n in range(60)]
    chain = [
        {"job_type": "gives_up" if n == 0 else "note", "job_id": ids[n], "depends_on": ids[:n][-1:]}
        for n in range(60)
    ]
    await queue.jobs.enqueue_many(chain)
    async with at_work(queue):
        assert (await queue.jobs.wait(ids[-1], 20)).execution.reason == "dependency_failed"


async def test_a_waiting_job_is_cancelled_at_once_and_a_running_one_soon(
    queue: MessageService, handlers: Handlers
) -> None:
    waits = await queue.jobs.enqueue("note", {"n": "never"}, scheduled_for=later(60))
    assert await queue.jobs.cancel(waits.job_id) is JobStatus.CANCELLED
    with pytest.raises(errors.Conflict, match="cancelled"):
        await queue.jobs.cancel(waits.job_id)
    async with at_work(queue) as worker:
        runs = await queue.jobs.enqueue("holds", {"n": "never"}, lane="a")
        behind = await queue.jobs.enqueue("note", {"n": "behind"}, lane="a")
        await handlers.began.wait()
        assert await queue.jobs.cancel(runs.job_id) is JobStatus.PROCESSING
        [job, _] = await ended(queue, runs, behind)
        assert (job.status, job.execution.reason) == ("cancelled", "cancelled")
        assert worker.figures.cancelled == 1
    assert handlers.ran == ["behind"]


async def test_a_dedupe_key_lets_one_live_job_through(
    queue: MessageService, handlers: Handlers
) -> None:
    first = await queue.jobs.enqueue("note", {"n": 1}, dedupe_key="k")
    again = await queue.jobs.enqueue("note", {"n": 2}, dedupe_key="k")
    assert again == Enqueued(first.job_id, EnqueueOutcome.DUPLICATE)
    other = await queue.tenant("acme").jobs.enqueue("note", {"n": 3}, dedupe_key="k")
    assert other.outcome is EnqueueOutcome.STORED
    async with at_work(queue):
        await ended(queue, first)
        after = await queue.jobs.enqueue("note", {"n": 4}, dedupe_key="k")
        await ended(queue, after)
        await queue.tenant("acme").jobs.wait(other.job_id, 20)
    assert sorted(handlers.ran) == [1, 3, 4]


async def test_many_writers_of_one_dedupe_key_store_one_job(queue: MessageService) -> None:
    done = await asyncio.gather(
        *(queue.jobs.enqueue("note", dedupe_key="k", lane="a") for _ in range(20))
    )
    assert [each.outcome for each in done].count(EnqueueOutcome.STORED) == 1
    assert len({each.job_id for each in done}) == 1


async def test_replace_puts_the_new_job_in_the_place_of_the_live_one(
    queue: MessageService, handlers: Handlers
) -> None:
    key: dict[str, Any] = {"dedupe_key": "k", "on_duplicate": OnDuplicate.REPLACE}
    waits = await queue.jobs.enqueue("holds", {"n": 1}, **key)
    runs = await queue.jobs.enqueue("holds", {"n": 2}, **key)
    assert runs.outcome is EnqueueOutcome.REPLACED
    [job] = await ended(queue, waits)
    assert (job.status, job.execution.reason, job.replaced_by) == (
        "cancelled",
        "replaced",
        runs.job_id,
    )
    async with at_work(queue):
        await handlers.began.wait()
        newest = await queue.jobs.enqueue("note", {"n": 3}, **key)
        [old, new] = await ended(queue, runs, newest)
        assert (old.status, old.replaced_by) == ("cancelled", newest.job_id)
        assert new.status == "completed"
    assert handlers.ran == [3]


async def test_keep_latest_gives_the_waiting_job_the_newest_parameters(
    queue: MessageService, handlers: Handlers
) -> None:
    key: dict[str, Any] = {"dedupe_key": "k", "on_duplicate": OnDuplicate.KEEP_LATEST}
    first = await queue.jobs.enqueue("holds", {"n": 1}, **key)
    async with at_work(queue):
        await handlers.began.wait()
        second = await queue.jobs.enqueue("note", {"n": 2}, **key)
        assert second.outcome is EnqueueOutcome.STORED  # beside the one that runs
        third = await queue.jobs.enqueue("note", {"n": 3}, priority="high", **key)
        assert third == Enqueued(second.job_id, EnqueueOutcome.UPDATED)
        handlers.gate.set()
        [job] = await ended(queue, second)
        assert (job.status, job.job_config.n, job.priority) == ("completed", 3, "high")
    assert handlers.ran == [1, 3]
    assert first.job_id != second.job_id


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
        assert await queue.jobs.result(done.job_id, 20) == {"counted": 1}


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


async def test_a_worker_that_stops_hands_its_jobs_back(
    queue: MessageService, handlers: Handlers
) -> None:
    async with at_work(queue, grace=0.05) as worker:
        done = await queue.jobs.enqueue("holds", {"n": 1})
        await handlers.began.wait()
    job = await queue.jobs.get(done.job_id)
    assert (job.status, job.execution.attempts) == ("pending", 0)
    assert worker.figures.handed_back == 1
    handlers.gate.set()
    async with at_work(queue):
        [job] = await ended(queue, done)
    assert (job.status, job.execution.attempts) == ("completed", 1)


async def test_an_unknown_type_is_refused_and_from_elsewhere_kept_with_a_reason(
    queue: MessageService, service: MessageService, mongo_uri: str
) -> None:
    with pytest.raises(errors.InvalidInput, match="job_type: 'other' has no handler"):
        await queue.jobs.enqueue("other")
    declared = JobRegistry()
    declared.declare("other", queue="note")
    async with (
        await MessageService.connect(
            mongo_uri, settings=queue.settings, registry=declared
        ) as elsewhere,
        at_work(queue),
    ):
        kept = await elsewhere.jobs.enqueue("other")

        async def parked() -> bool:
            return (await queue.jobs.get(kept.job_id)).execution.reason == "no_handler"

        await until("the worker has seen it", parked)
        job = await queue.jobs.get(kept.job_id)
        assert (job.status, job.execution.attempts) == ("pending", 0)
        assert "no handler for 'other'" in (job.execution.error_message or "")
        # What a running worker has a handler for can be enqueued anywhere.
        done = await service.jobs.enqueue("note", {"n": 1})
        await ended(service, done)


async def test_jobs_of_other_programs_are_adopted_and_bad_ones_hold_up_nobody(
    queue: MessageService, handlers: Handlers, database: Database
) -> None:
    """A document as the source design shows it, with `attention_at` in the past."""
    collection = database["processing_queue"]
    now = datetime.now(UTC)
    design: dict[str, Any] = {
        "tenant_id": "default",
        "job_type": "note",
        "priority": "high",
        "status": "pending",
        "execution": {"attempts": 1, "max_attempts": 3},
        "created_at": now,
        "updated_at": now,
        "attention_at": LONG_AGO,
    }
    name = {"queue_name": "note", "scheduled_for": now}
    several = [
        {**design, "job_config": {"n": 1}, "queue_metadata": {**name, "lane": "a"}},
        {**design, "job_config": {"n": 2}, "queue_metadata": {**name, "lane": "a"}},
        {
            **design,
            "job_config": {"n": 3},
            "queue_metadata": {**name, "depends_on": ["job_000000000000"]},
        },
        {**design, "job_type": "unheard", "queue_metadata": name},
        {**design, "queue_metadata": {**name, "depends_on": ["job_000000000099"]}},
        {**design, "queue_metadata": {**name, "depends_on": ["job_000000000004"]}},
    ]
    for number, job in enumerate(several):
        await collection.insert_one({**job, "job_id": f"job_{number:012}"})
    # What no validator lets through, but a restore may have brought.
    for number, broken in ((98, {"status": "processing"}), (97, {"claim_order": LONG_AGO})):
        bad = {**design, "priority_rank": 1, "execution": 5, "queue_metadata": name, **broken}
        await collection.database.command(
            {
                "insert": "processing_queue",
                "documents": [{**bad, "job_id": f"job_{number:012}"}],
                "bypassDocumentValidation": True,
            }
        )
    async with at_work(queue):
        for number in range(3):
            job = await queue.jobs.wait(f"job_{number:012}", 20)
            assert (job.status, job.execution.attempts) == ("completed", 1)
        missing = await queue.jobs.wait("job_000000000004", 20)
        assert (missing.status, missing.execution.reason) == ("failed", "dependency_missing")
        after = await queue.jobs.wait("job_000000000005", 20)
        assert (after.status, after.execution.reason) == ("failed", "dependency_failed")

        async def parked() -> bool:
            return (await queue.jobs.get("job_000000000003")).execution.reason == "no_handler"

        await until("the unknown type is parked", parked)
        done = await queue.jobs.enqueue("note", {"n": 4})
        await ended(queue, done)
    assert len(await queue.jobs.list()) == 9
    [because] = (await queue.jobs.explain("job_000000000097")).because
    assert because.text.startswith("the queue cannot read it: execution: ")
    assert handlers.ran.index(1) < handlers.ran.index(2)


async def test_a_circle_from_elsewhere_fails_with_its_cause(
    queue: MessageService, database: Database
) -> None:
    first = await queue.jobs.enqueue("note", scheduled_for=later(60))
    second = await queue.jobs.enqueue("note", depends_on=[first.job_id])
    await database["processing_queue"].update_one(
        {"job_id": first.job_id},
        {"$set": {"blocked_by": [second.job_id], "attention_at": LONG_AGO}},
    )
    async with at_work(queue):
        [one, two] = await ended(queue, first, second)
    assert {one.execution.reason, two.execution.reason} == {"dependency_cycle", "dependency_failed"}


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"job_type": "No"}, "job_type"),
        ({"job_type": 5}, "job_type"),
        ({"priority": "top"}, "priority"),
        ({"max_attempts": 0}, "max_attempts"),
        ({"max_attempts": True}, "max_attempts"),
        ({"scheduled_for": LONG_AGO}, "scheduled_for"),
        ({"expires_at": LONG_AGO}, "expires_at"),
        ({"scheduled_for": later(9_000), "expires_at": later(8_000)}, "expires_at"),
        ({"config": {"$where": 1}}, "config.'$where'"),
        ({"config": {"x": "y" * 1_100_000}}, "config"),
        ({"config": {"timeout_seconds": -1}}, "config.timeout_seconds"),
        ({"message_id": "msg_000000000001"}, "conversation_id"),
        ({"lane": ""}, "lane"),
        ({"dedupe_key": "x" * 200}, "dedupe_key"),
        ({"job_id": "job_000000000001", "depends_on": ["job_000000000001"]}, "depends_on"),
        ({"depends_on": ["job_000000000001"], "on_duplicate": "keep_latest"}, "depends_on"),
        ({"unheard": 1}, "unheard"),
    ],
)
async def test_bad_jobs_are_refused_by_field(
    queue: MessageService, database: Database, fields: dict[str, Any], field: str
) -> None:
    with pytest.raises(errors.InvalidInput) as caught:
        await queue.jobs.enqueue_many([{"job_type": "note", **fields}])
    assert caught.value.field == field
    with pytest.raises(errors.InvalidInput) as caught:
        await queue.jobs.enqueue_many([{"job_type": "note"}, {"job_type": "note", **fields}])
    assert caught.value.field == f"jobs.1.{field}"
    assert await database.get_collection("processing_queue").count_documents({}) == 0


async def test_dependencies_must_exist_and_must_not_form_a_circle(
    queue: MessageService, database: Database
) -> None:
    with pytest.raises(errors.NotFound):
        await queue.jobs.enqueue("note", depends_on=["job_000000000001"])
    circle = [
        {"job_type": "note", "job_id": f"job_{n:012}", "depends_on": [f"job_{(n + 1) % 3:012}"]}
        for n in range(3)
    ]
    with pytest.raises(errors.InvalidInput, match="depends_on"):
        await queue.jobs.enqueue_many(circle)
    assert await database.get_collection("processing_queue").count_documents({}) == 0


async def test_a_taken_id_is_refused_and_the_others_are_stored(queue: MessageService) -> None:
    job = {"job_type": "note", "job_id": "job_000000000001"}
    [first] = await queue.jobs.enqueue_many([job])
    assert isinstance(first, Enqueued)
    [again, other] = await queue.jobs.enqueue_many([job, {"job_type": "note"}])
    assert isinstance(again, errors.AlreadyExists)
    assert isinstance(other, Enqueued)
