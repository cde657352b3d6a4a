"""A worker process of the campaign: `python campaign_worker.py URI DATABASE SKEW LEASE`.

Its clock is wrong by SKEW seconds. Each effect is one document, written with the end of its job.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import sys
from datetime import UTC, datetime, timedelta

from message_service import (
    JobRegistry,
    MessageService,
    RunningJob,
    StopSignal,
    Tenant,
    Transaction,
    errors,
)
from message_service.clock import to_milliseconds

registry = JobRegistry()


class WrongClock:
    def __init__(self, skew: float) -> None:
        self._skew = timedelta(seconds=skew)

    def now(self) -> datetime:
        return to_milliseconds(datetime.now(UTC) + self._skew)


@registry.handler("effect", max_attempts=1_000, retry_delay_seconds=0.05)
async def effect(job: RunningJob, _tenant: Tenant) -> None:
    await asyncio.sleep(random.random() * 0.01)
    if random.random() < 0.02:
        raise ValueError("now and then")

    async def work(transaction: Transaction) -> None:
        access = transaction.access
        await access.collection("effects").insert_one(
            {"job_id": job.job_id, "worker": job.worker_id, "attempt": job.attempt},
            session=access.session,
        )

    await job.commit(work, {"attempt": job.attempt})


@registry.handler("doomed", max_attempts=2, retry_delay_seconds=0.05)
async def doomed(_job: RunningJob, _tenant: Tenant) -> None:
    raise ValueError("always")


async def _connected(uri: str, database: str, skew: float, lease: float) -> MessageService:
    while True:
        with contextlib.suppress(errors.Unavailable):  # the server may just be killed
            return await MessageService.connect(
                uri,
                database=database,
                registry=registry,
                clock=WrongClock(skew),
                queue_lease=lease,
                queue_poll=0.2,
                min_pool_size=0,
                server_selection_timeout=1,
                write_deadline=5,
            )


async def main(uri: str, database: str, skew: float, lease: float) -> None:
    stop = StopSignal()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.request)
    async with await _connected(uri, database, skew, lease) as service:
        await service.worker(concurrency=8, grace=1, loops=False).run(stop)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3]), float(sys.argv[4])))
