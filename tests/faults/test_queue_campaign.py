"""Jobs survive whatever befalls their workers and the server (the long run: `make campaign`)."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from message_service import JobRegistry, MessageService
from support.campaign import Campaign, check
from support.commands import Command
from support.replica_sets import ReplicaSet
from support.servers import OwnServer
from support.waiting import until

pytestmark = pytest.mark.faults


async def test_every_job_has_its_effect_once_through_kills_freezes_and_a_server_that_dies(
    own: OwnServer,
) -> None:
    campaign = Campaign(own.uri, "campaign", 600, 4, 2.0, 20261127, own.fail_over, 1)
    jobs = await campaign.run(240)
    async with await MessageService.connect(own.uri, database="campaign") as service:
        ends = await check(service.store.database, jobs, 600)
    assert ends["completed"] > 400
    assert campaign.faults.kills
    assert campaign.faults.freezes
    assert campaign.faults.outages == 1


async def test_every_job_has_its_effect_once_through_an_election(three: ReplicaSet) -> None:
    campaign = Campaign(three.uri, "campaign", 150, 2, 2.0, 20261128, three.fail_over, 1, calm=True)
    jobs = await campaign.run(240)
    assert campaign.faults.outages == 1
    async with await MessageService.connect(three.uri, database="campaign") as service:
        await check(service.store.database, jobs, 150)
    assert not any(job["execution"]["attempts"] > 50 for job in jobs)


MODULE = """
import time
from message_service import jobs

@jobs.handler("slow")
def slow(job, tenant):
    time.sleep(job.config["seconds"])
    return {"slept": job.config["seconds"]}
"""


@pytest.fixture
async def slow(
    service: MessageService, mongo_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[MessageService]:
    """A service that enqueues jobs for the module with the slow handler."""
    (tmp_path / "own_jobs.py").write_text(MODULE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    registry = JobRegistry()
    registry.declare("slow")
    async with await MessageService.connect(
        mongo_uri, settings=service.settings, registry=registry
    ) as connected:
        yield connected


async def working(
    queue: MessageService, uri: str, directory: Path, seconds: float, *options: str
) -> tuple[Command, str]:
    """Enqueue a job, start the command, and return both once the job runs."""
    done = await queue.jobs.enqueue("slow", {"seconds": seconds})
    words = ("--database", queue.settings.database, "worker", "--import", "own_jobs", *options)
    worker = await Command.start(uri, directory, *words)

    async def runs() -> bool:
        return (await queue.jobs.get(done.job_id)).status == "processing"

    await until("the job runs", runs)
    return worker, done.job_id


async def test_the_command_lets_a_running_job_end(
    slow: MessageService, mongo_uri: str, tmp_path: Path
) -> None:
    worker, job_id = await working(slow, mongo_uri, tmp_path / "w", 1.0, "--json")
    worker.signal(signal.SIGTERM)
    assert await worker.ended() == 0
    assert (await slow.jobs.get(job_id)).status == "completed"
    assert '"outcome": "completed"' in worker.err


async def test_a_second_signal_ends_the_command_at_once(
    slow: MessageService, mongo_uri: str, tmp_path: Path
) -> None:
    worker, job_id = await working(slow, mongo_uri, tmp_path / "w", 60.0)
    worker.signal(signal.SIGTERM)
    await until("the worker stops", lambda: "stops" in worker.err)
    worker.signal(signal.SIGTERM)
    assert await worker.ended() == 143
    assert (await slow.jobs.get(job_id)).status == "processing"


async def test_a_handler_that_does_not_end_holds_no_worker_up(
    slow: MessageService, mongo_uri: str, tmp_path: Path
) -> None:
    """After the grace period the job is handed back, and the process ends, thread or no thread."""
    worker, job_id = await working(slow, mongo_uri, tmp_path / "w", 120.0, "--grace", "0.2")
    worker.signal(signal.SIGTERM)
    assert await worker.ended() == 0
    job = await slow.jobs.get(job_id)
    assert (job.status, job.execution.attempts) == ("pending", 0)
    assert "handed_back" in worker.err
