"""The queue for operators: list, show, replay, purge, count, watch; library and command line."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import pytest

from message_service import JobEvent, MessageService, Why, errors
from message_service.database.client import Database
from support.commands import Command
from support.job_handlers import Handlers, at_work, later
from support.shell import Cli
from support.waiting import soon, until


@pytest.fixture
def cli(mongo_uri: str, database: Database, tmp_path: Path) -> Cli:
    return Cli(mongo_uri, database.name, tmp_path)


async def why(service: MessageService, job_id: str) -> list[Why]:
    return [each.why for each in (await service.jobs.explain(job_id)).because]


async def test_a_waiting_job_tells_what_it_waits_for(
    queue: MessageService, handlers: Handlers
) -> None:
    enqueue = queue.jobs.enqueue
    alone = await enqueue("note")
    assert await why(queue, alone.job_id) == [Why.NO_WORKER]
    async with at_work(queue, concurrency=1, queues=["holds", "mixed"]):
        held = await enqueue("holds", lane="a")
        await soon("the job runs", handlers.began.wait())
        assert await why(queue, held.job_id) == [Why.RUNS]
        in_lane = await enqueue("holds", lane="a")
        assert await why(queue, in_lane.job_id) == [Why.LANE]
        [because] = (await queue.jobs.explain(in_lane.job_id)).because
        assert held.job_id in because.text
        assert "processing until" in because.text
        blocked = await enqueue("holds", depends_on=[held.job_id])
        assert await why(queue, blocked.job_id) == [Why.DEPENDENCY]
        scheduled = await enqueue("holds", scheduled_for=later(60))
        assert await why(queue, scheduled.job_id) == [Why.SCHEDULE]
        first = await enqueue("holds")
        second = await enqueue("holds")
        assert await why(queue, first.job_id) == [Why.IN_LINE]
        [because] = (await queue.jobs.explain(second.job_id)).because
        assert because.text == "1 jobs of queue holds are before it"
        queue.declare_job_type("other", queue="mixed")
        unknown = await enqueue("other")
        assert await why(queue, unknown.job_id) == [Why.NO_HANDLER]
        await queue.jobs.cancel(held.job_id)
        assert await why(queue, held.job_id) == [Why.RUNS, Why.CANCEL_REQUESTED]
        handlers.gate.set()
    failing = await enqueue("fails", retry_delay_seconds=3_600)
    async with at_work(queue):

        async def failed_once() -> bool:
            return (await queue.jobs.get(failing.job_id)).queue_metadata.retry_after is not None

        await until("an attempt has failed", failed_once)
        [because] = (await queue.jobs.explain(failing.job_id)).because
        assert because.why is Why.RETRY
        assert "attempt 1 failed (handler_error: ValueError: so it goes)" in because.text
        dead = await enqueue("gives_up")
        await queue.jobs.wait(dead.job_id, 20)
        [because] = (await queue.jobs.explain(dead.job_id)).because
        assert because.why is Why.ENDED
        assert because.text == "failed (gave_up): there is no such thing"


async def test_jobs_are_listed_by_what_they_are(queue: MessageService) -> None:
    for n in range(7):
        await queue.jobs.enqueue("note", {"n": n}, queue="one" if n % 2 else "two")
    await queue.jobs.enqueue("fails")
    await queue.tenant("acme").jobs.enqueue("note")
    seen: list[int] = []
    cursor: str | None = None
    while True:
        page = await queue.jobs.list(job_type="note", limit=3, cursor=cursor)
        seen += [job.job_config.n for job in page]  # type: ignore[union-attr]
        cursor = page.next
        if cursor is None:
            break
    assert seen == [6, 5, 4, 3, 2, 1, 0]
    assert len(await queue.jobs.list(queue="one")) == 3
    assert len(await queue.jobs.list(states=["pending"])) == 8
    assert len(await queue.jobs.list(states=["completed"])) == 0
    assert len(await queue.jobs.list(older_than=3_600)) == 0
    assert {(each.queue, each.count) for each in await queue.jobs.counts()} == {
        ("one", 3),
        ("two", 4),
        ("fails", 1),
    }
    with pytest.raises(errors.InvalidCursor):
        await queue.tenant("acme").jobs.list(cursor=(await queue.jobs.list(limit=1)).next)


async def test_dead_jobs_are_replayed_and_ended_ones_purged(
    queue: MessageService, handlers: Handlers, cli: Cli
) -> None:
    async with at_work(queue):
        dead = [await queue.jobs.enqueue("gives_up", lane="a") for _ in range(3)]
        keyed = await queue.jobs.enqueue("gives_up", dedupe_key="k")
        for each in (*dead, keyed):
            await queue.jobs.wait(each.job_id, 20)
    await queue.jobs.enqueue("note", dedupe_key="k")
    acme = queue.tenant("acme").jobs
    assert (await acme.replay_dead()).replayed == 0
    assert (await acme.purge(states=["failed"], older_than=0)).deleted == 0
    assert cli.json("jobs", "replay-dead", "--reason", "timeout")["replayed"] == 0
    done = cli.json("jobs", "replay-dead", "--type", "gives_up")
    assert done == {"replayed": 3, "left": 1, "finished": True}
    async with at_work(queue):
        for each in dead:
            job = await queue.jobs.wait(each.job_id, 20)
            assert (job.status, job.execution.attempts) == ("failed", 1)
    assert len(handlers.ran) == 4 + 3 + 1
    err = cli("jobs", "purge", "--state", "pending", "--older-than", "0", code=2)
    assert "--state" in err
    assert "0 jobs deleted" in cli("jobs", "purge", "--state", "failed", "--older-than", "9999")
    assert "4 jobs deleted" in cli("jobs", "purge", "--state", "failed", "--older-than", "0")
    with pytest.raises(errors.NotFound):
        await queue.jobs.get(keyed.job_id)


async def test_events_are_told_as_they_happen(queue: MessageService) -> None:
    events: list[JobEvent] = []
    listening = asyncio.Event()

    async def listen() -> None:
        async for event in queue.jobs.events():
            listening.set()
            events.append(event)
            if event.job_type == "note" and event.status == "completed":
                return

    task = asyncio.create_task(listen())
    while not listening.is_set():  # until the stream is open, nothing is told
        await queue.jobs.enqueue("fails", scheduled_for=later(60))
        await asyncio.sleep(0.05)
    await queue.tenant("acme").jobs.enqueue("note")
    async with at_work(queue):
        done = await queue.jobs.enqueue("note")
        await soon("the events", task)
    mine = [event.status for event in events if event.job_id == done.job_id]
    assert mine == ["pending", "processing", "completed"]


async def test_the_commands(queue: MessageService, cli: Cli) -> None:
    refused = cli("jobs", "enqueue", "note", code=2)
    assert "TYPE: 'note' has no handler here and in no running worker" in refused
    async with at_work(queue) as worker:

        async def is_known() -> bool:
            return any(each.name == worker.name for each in await queue.queue.workers())

        await until("the worker is known", is_known)
        job = cli.json("jobs", "enqueue", "note", '{"n": 5}', "--priority", "high")["job_id"]
        await queue.jobs.wait(job, 20)
        found = cli.json("jobs", "stats")
        [status] = [each for each in found["workers"] if each["name"] == worker.name]
        assert status["alive"]
        assert "note" in status["job_types"]
    shown = cli.json("jobs", "show", job)
    assert (shown["status"], shown["execution"]["result"]) == ("completed", {"n": 5})
    assert [each["why"] for each in shown["because"]] == ["ended"]
    assert "completed" in cli("jobs", "show", job)
    [listed] = cli.json("jobs", "list", "--state", "completed")["items"]
    assert listed["job_id"] == job
    assert job in cli("jobs", "list")
    forced = cli("jobs", "enqueue", "unheard", "--force", "--at", later(60).isoformat())
    waiting = forced.split()[0]
    assert "scheduled for" in cli("jobs", "show", waiting)
    assert "cancelled" in cli("jobs", "cancel", waiting)
    assert "waits again" in cli("jobs", "retry", waiting)
    assert "unheard" in cli("jobs", "stats")
    assert "not found" in cli("jobs", "show", "job_000000000000", code=3)
    assert "JOB" in cli("jobs", "show", "nonsense", code=2)
    assert "CONFIG" in cli("jobs", "enqueue", "note", "[1]", "--force", code=2)
    assert "--at" in cli("jobs", "enqueue", "note", "--force", "--at", "2020-01-01", code=2)


async def test_watching_prints_each_change_as_a_line(
    queue: MessageService, mongo_uri: str, tmp_path: Path
) -> None:
    words = ("--database", queue.settings.database, "jobs", "watch", "--json")
    watching = await Command.start(mongo_uri, tmp_path / "watch", *words)

    async def tells_something() -> list[Any]:
        await queue.jobs.enqueue("note")
        return [json.loads(line) for line in watching.out.splitlines()]

    [first, *_] = await until("an event is printed", tells_something, every=0.2)
    assert (first["job_type"], first["status"]) == ("note", "pending")
    watching.signal(signal.SIGTERM)
    assert await watching.ended() == 0


async def test_a_worker_that_cannot_begin_says_why(cli: Cli) -> None:
    assert "--import" in cli("worker", "--import", "no_such_module", code=2)
    assert "--queues" in cli("worker", "--queues", "not a queue!", code=2)
    assert "--concurrency" in cli("worker", "--concurrency", "0", code=2)
