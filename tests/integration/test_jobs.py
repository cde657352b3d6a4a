"""Jobs through their public calls: run, tell a result, fail, retry, cancel, be handed back."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from message_service import (
    JobStatus,
    MessageService,
    Settings,
    errors,
)
from support.job_handlers import Handlers, at_work, ended, later
from support.waiting import until

USER = "user_000000000001"
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


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


async def test_a_worker_hears_of_every_job(
    queue: MessageService, handlers: Handlers, mongo_uri: str, settings: Settings
) -> None:
    connecting = MessageService.connect(
        mongo_uri,
        settings=settings,
        database=queue.store.database.name,
        registry=handlers.registry,
        queue_poll=60,  # longer than the test waits
    )
    async with await connecting as patient, at_work(patient, concurrency=2):
        for count in (1, 2, 5, 1, 1):  # alone, as many as it takes, more than it takes
            several = [await queue.jobs.enqueue("note", {"n": count}) for _ in range(count)]
            for job in several:
                assert await queue.jobs.result(job.job_id, 20) == {"n": count}


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
        (
            "snoozes_wrongly",
            "handler_error",
            "ValueError: could not convert string to float: 'soon'",
        ),
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


async def test_a_snoozed_job_is_put_off_as_often_as_it_takes(
    queue: MessageService, handlers: Handlers
) -> None:
    async with at_work(queue) as worker:
        done = await queue.jobs.enqueue("sleeps", {"n": 1})
        await until("it was put off three times", lambda: handlers.ran.count(1) > 3)
        handlers.gate.set()
        assert await queue.jobs.result(done.job_id, 20) == {"attempt": 1}
        assert worker.figures.snoozed >= 3
    job = await queue.jobs.get(done.job_id)
    assert (job.execution.reason, job.execution.failures) == (None, None)


async def test_a_snoozed_job_says_what_it_waits_for_and_expires(queue: MessageService) -> None:
    async with at_work(queue):
        done = await queue.jobs.enqueue("sleeps", expires_at=later(1.5))

        async def snoozed() -> bool:
            return (await queue.jobs.get(done.job_id)).execution.reason == "snoozed"

        await until("it was put off", snoozed)
        explained = await queue.jobs.explain(done.job_id)
        [because] = explained.because
        assert because.why == "retry"
        assert because.text.startswith("snoozed: the oven is cold; the next attempt is at ")
        assert (explained.job.status, explained.job.execution.attempts) == ("pending", 0)
        [job] = await ended(queue, done)
        assert (job.status, job.execution.reason) == ("failed", "expired")


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
