"""The part of the demo about jobs."""

from __future__ import annotations

import asyncio

from message_service import errors
from message_service.cli.context import console
from message_service.database.transaction import Transaction
from message_service.documents.job import JobType
from message_service.ids import IdKind, derived_id
from message_service.queue.enqueuing import Enqueued
from message_service.service import MessageService, Tenant
from message_service.stopping import StopSignal

_SAID = "Could you book a table for two on Friday evening?"
_SECONDS = 60.0


async def show_jobs(service: MessageService, tenant: Tenant) -> None:
    """Store a message with its job, say what the job waits for, run it, and show its steps."""
    console.rule("A job, stored with its message")
    conversation = derived_id(IdKind.CONVERSATION, "demo")
    job_id = derived_id(IdKind.JOB, "demo")

    async def both(transaction: Transaction) -> Enqueued:
        said = await tenant.messages.append(
            conversation, "user", _SAID, client_msg_id="job", within=transaction
        )
        return await tenant.jobs.enqueue(
            JobType.MESSAGE_PROCESSING,
            message_id=said.message_id,
            conversation_id=conversation,
            job_id=job_id,
            within=transaction,
        )

    try:
        await service.transaction(both)
    except errors.AlreadyExists:
        _say("both are here already, from an earlier demo")
    for because in (await tenant.jobs.explain(job_id)).because:
        _say(f"{job_id} is {because.why}: {because.text}")
    await service.search_index.drain(most=1)
    stop = StopSignal()
    worker = service.worker([JobType.MESSAGE_PROCESSING], loops=False)
    working = asyncio.create_task(worker.run(stop))
    try:
        job = await tenant.jobs.wait(job_id, _SECONDS)
    finally:
        stop.request()
        await working
    _say(f"{job.status} by {job.execution.worker_id}, attempt {job.execution.attempts}")
    assert job.message_id is not None
    [message] = await tenant.messages.around(
        conversation, job.message_id, before=0, after=0, full=True
    )
    figures = message.raw.get("processing_metadata", {})
    for name in ("queue_time_ms", "processing_time_ms", "total_latency_ms"):
        _say(f"  {name} of the message: {figures.get(name)}")


def _say(line: str) -> None:
    console.print(f"  {line}", markup=False, highlight=False, soft_wrap=True)
