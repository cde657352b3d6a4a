"""A registry of handlers for tests, and a service with a worker that knows them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from message_service import (
    BackgroundWorker,
    Enqueued,
    GiveUp,
    JobRegistry,
    MessageService,
    RetryIn,
    RunningJob,
    Snooze,
    StopSignal,
    Tenant,
)
from support.waiting import soon


@dataclass
class Handlers:
    """What handlers saw and did, and gates to hold them at."""

    registry: JobRegistry = field(default_factory=JobRegistry)
    ran: list[Any] = field(default_factory=list[Any])
    running: set[Any] = field(default_factory=set[Any])
    together: list[frozenset[Any]] = field(default_factory=list[frozenset[Any]])
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    began: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        handler = self.registry.handler

        @handler("note", retry_delay_seconds=0.01)
        async def note(job: RunningJob, _tenant: Tenant) -> dict[str, Any]:
            mark = job.config.get("n")
            self.running.add(mark)
            self.together.append(frozenset(self.running))
            await asyncio.sleep(0)
            self.running.discard(mark)
            self.ran.append(mark)
            return {"n": mark}

        @handler("fails", max_attempts=3, retry_delay_seconds=0.01)
        async def fails(job: RunningJob, _tenant: Tenant) -> dict[str, int]:
            self.ran.append(job.attempt)
            if job.attempt <= job.config.get("times", 99):
                raise ValueError("so it goes")
            return {"attempt": job.attempt}

        @handler("holds")
        async def holds(job: RunningJob, _tenant: Tenant) -> None:
            self.began.set()
            await self.gate.wait()
            self.ran.append(job.config.get("n"))

        @handler("in_thread")
        def in_thread(job: RunningJob, tenant: Tenant) -> dict[str, str]:
            return {"tenant": tenant.tenant_id, "type": job.job_type}

        @handler("gives_up")
        async def gives_up(_job: RunningJob, _tenant: Tenant) -> None:
            self.ran.append("gives_up")
            raise GiveUp("there is no such thing")

        @handler("asks", max_attempts=2)
        async def asks(job: RunningJob, _tenant: Tenant) -> dict[str, int]:
            if job.attempt == 1:
                raise RetryIn(0.01)
            return {"attempt": job.attempt}

        @handler("sleeps", max_attempts=1)
        async def sleeps(job: RunningJob, _tenant: Tenant) -> dict[str, int]:
            self.ran.append(job.config.get("n"))
            if not self.gate.is_set():
                raise Snooze(0.05 if job.config.get("n") else 600, "the oven is cold")
            return {"attempt": job.attempt}

        @handler("snoozes_wrongly", max_attempts=1)
        async def snoozes_wrongly(_job: RunningJob, _tenant: Tenant) -> None:
            raise Snooze("soon", "not a number")  # pyright: ignore[reportArgumentType]

        @handler("exits", max_attempts=1)
        def exits(_job: RunningJob, _tenant: Tenant) -> None:
            raise SystemExit(3)

        @handler("returns")
        async def returns(job: RunningJob, _tenant: Tenant) -> Any:
            what = job.config["what"]
            return {"set": {1, 2}, "list": [1], "big": {"x": "y" * 2_000_000}}[what]


def later(seconds: float) -> datetime:
    """Return the moment in so many seconds."""
    return datetime.now(UTC) + timedelta(seconds=seconds)


async def ended(service: MessageService, *several: Enqueued) -> list[Any]:
    """Return jobs once they have ended."""
    return [await service.jobs.wait(each.job_id, 20) for each in several]


@asynccontextmanager
async def at_work(service: MessageService, **options: Any) -> AsyncIterator[BackgroundWorker]:
    """Run a worker of this service, and stop it at the end."""
    stop = StopSignal()
    worker = service.worker(**{"loops": False, "grace": 5.0, **options})
    running = asyncio.create_task(worker.run(stop))
    try:
        yield worker
    finally:
        stop.request()
        await soon("the worker ends", running)
