"""Which job runs when: priorities, schedules, lanes, dependencies, dedupe keys."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from message_service import (
    Enqueued,
    EnqueueOutcome,
    MessageService,
    OnDuplicate,
    Settings,
)
from support.job_handlers import Handlers, at_work, ended, later
from support.waiting import until

USER = "user_000000000001"
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


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
