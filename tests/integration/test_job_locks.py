"""Transactions that hold jobs: those of others, of killed processes for example, and one's own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from pymongo.errors import OperationFailure

from message_service import Job, MessageService, RunningJob, Tenant, Transaction
from message_service.database.client import Database
from support.job_handlers import Handlers, at_work, ended, later
from support.waiting import until

LEASE = timedelta(seconds=2)


@asynccontextmanager
async def held(database: Database, job_id: str) -> AsyncIterator[None]:
    """Hold a job as a transaction does whose process was killed: it neither ends nor goes on."""
    async with database.client.start_session() as session:

        async def hold() -> bool:
            await session.start_transaction()
            try:
                await database["processing_queue"].update_one(
                    {"tenant_id": "default", "job_id": job_id},
                    {"$set": {"updated_at": datetime.now(UTC)}},
                    session=session,
                )
            except OperationFailure:  # its worker writes just now
                await session.abort_transaction()
                return False
            return True

        await until("the job to be held", hold)
        yield
        await session.abort_transaction()


async def _lease_of(queue: MessageService, job_id: str) -> datetime:
    job = await queue.jobs.get(job_id)
    assert job.lease is not None
    assert job.lease.until is not None
    return job.lease.until


async def _keeps_its_lease(queue: MessageService, job_id: str) -> None:
    """Wait until more than a lease has passed, and been renewed."""
    first = await _lease_of(queue, job_id)

    async def renewed() -> bool:
        return await _lease_of(queue, job_id) > first + LEASE

    await until("the lease to be renewed", renewed)


def _ends(jobs: list[Job]) -> list[Any]:
    return [(job.status, job.execution.attempts) for job in jobs]


async def test_a_held_job_keeps_no_other_from_being_claimed(
    queue: MessageService, database: Database
) -> None:
    first = await queue.jobs.enqueue("note", {"n": 1}, priority="urgent")
    others = [await queue.jobs.enqueue("note", {"n": n}) for n in range(2, 6)]
    async with AsyncExitStack() as working:
        async with held(database, first.job_id):
            await working.enter_async_context(at_work(queue))
            assert _ends(await ended(queue, *others)) == [("completed", 1)] * 4
            assert (await queue.jobs.get(first.job_id)).status == "pending"
        assert _ends(await ended(queue, first)) == [("completed", 1)]


async def test_a_held_job_keeps_the_sweep_from_no_other(
    queue: MessageService, database: Database
) -> None:
    first = await queue.jobs.enqueue("note", {"n": 1}, scheduled_for=later(0.3))
    others = [await queue.jobs.enqueue("note", {"n": n}, scheduled_for=later(0.4)) for n in (2, 3)]
    async with AsyncExitStack() as working:
        async with held(database, first.job_id):
            await working.enter_async_context(at_work(queue))
            assert _ends(await ended(queue, *others)) == [("completed", 1)] * 2
        assert _ends(await ended(queue, first)) == [("completed", 1)]


async def test_a_held_job_keeps_no_other_from_its_lease(
    queue: MessageService, handlers: Handlers, database: Database
) -> None:
    first = await queue.jobs.enqueue("holds", {"n": 1})
    second = await queue.jobs.enqueue("holds", {"n": 2})
    async with at_work(queue) as worker:
        await until("both run", lambda: worker.running == 2)
        async with held(database, first.job_id):
            await _keeps_its_lease(queue, second.job_id)
        handlers.gate.set()
        [one, two] = await ended(queue, first, second)
    # The lease of the first may have ended before its transaction did.
    assert one.status == "completed"
    assert _ends([two]) == [("completed", 1)]


async def test_a_held_job_keeps_no_other_from_its_outcome(
    queue: MessageService, handlers: Handlers, database: Database
) -> None:
    first = await queue.jobs.enqueue("holds", {"n": 1})
    others = [await queue.jobs.enqueue("holds", {"n": n}) for n in (2, 3)]
    async with at_work(queue) as worker:
        await until("all run", lambda: worker.running == 3)
        async with held(database, first.job_id):
            handlers.gate.set()
            assert _ends(await ended(queue, *others)) == [("completed", 1)] * 2
            assert (await queue.jobs.get(first.job_id)).status == "processing"
        assert (await ended(queue, first))[0].status == "completed"


async def test_a_transaction_longer_than_the_lease_costs_nobody_the_lease(
    queue: MessageService, handlers: Handlers, database: Database
) -> None:
    lease_after = datetime.now(UTC)

    @handlers.registry.handler("writes")
    async def writes(job: RunningJob, _tenant: Tenant) -> None:
        nonlocal lease_after

        async def work(transaction: Transaction) -> None:
            await transaction.access.collection("effects").insert_one(
                {"job_id": job.job_id}, session=transaction.access.session
            )
            await handlers.gate.wait()

        await job.transaction(work)
        lease_after = await _lease_of(queue, job.job_id)

    await database.create_collection("effects")
    async with at_work(queue) as worker:
        writing = await queue.jobs.enqueue("writes")
        beside = await queue.jobs.enqueue("holds")
        await until("both run", lambda: worker.running == 2)
        await _keeps_its_lease(queue, beside.job_id)
        over = datetime.now(UTC)
        handlers.gate.set()
        assert _ends(await ended(queue, writing, beside)) == [("completed", 1)] * 2
        assert worker.figures.lost == 0
    assert lease_after > over
    assert await database["effects"].count_documents({}) == 1
