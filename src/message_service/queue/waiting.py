"""Waits for the end of a job."""

from __future__ import annotations

import asyncio

from message_service import errors
from message_service.catalogue.queries.jobs import JOB_BY_ID
from message_service.database.scope import Scope
from message_service.database.wake import WakeUp
from message_service.documents.job import ENDED
from message_service.documents.row import Row
from message_service.stopping import end_tasks

_LOOK_AGAIN = 0.5


async def ended(scope: Scope, job_id: str, seconds: float | None) -> Row:
    """Return a job once it has ended.

    Args:
        scope: The tenant's scope.
        job_id: The job.
        seconds: Most seconds to wait; None waits for as long as it takes.

    Raises:
        NotFound: No such job.
        Unavailable: It has not ended in time; or the database cannot be reached.
    """
    loop = asyncio.get_running_loop()
    deadline = None if seconds is None else loop.time() + seconds
    row = await _row(scope, job_id)
    match = {
        "documentKey._id": row["_id"],
        "updateDescription.updatedFields.status": {"$in": [*ENDED]},
    }
    wake = WakeUp(scope.database, "processing_queue", match, _LOOK_AGAIN)
    try:
        while row["status"] not in ENDED:
            await wake.arm()
            row = await _row(scope, job_id)
            if row["status"] in ENDED:
                break
            left = None if deadline is None else deadline - loop.time()
            if left is not None and left <= 0:
                raise errors.Unavailable(
                    f"job {job_id!r} has not ended in {seconds:g} s: it is {row['status']}"
                )
            waiting = asyncio.create_task(wake.wait())
            try:
                await asyncio.wait((waiting,), timeout=left)
            finally:
                await end_tasks((waiting,))
    finally:
        await wake.disarm()
    return row


async def _row(scope: Scope, job_id: str) -> Row:
    row = await scope.find_one(JOB_BY_ID, committed=True, job_id=job_id)
    if row is None:
        raise errors.NotFound("job", job_id)
    return row
