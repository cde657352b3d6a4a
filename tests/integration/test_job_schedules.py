"""Periodic jobs: once for each time, however many workers there are; missed times; bad input."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from message_service import MessageService, errors
from message_service.database.client import Database
from support.job_handlers import at_work
from support.shell import Cli
from support.waiting import until


async def test_each_time_is_enqueued_once_by_several_workers(queue: MessageService) -> None:
    await queue.jobs.schedules.set("often", "* * * * * *", "note", {"n": 1}, priority="high")

    async def fired() -> bool:
        return (await queue.jobs.schedules.get("often")).fired >= 3

    async with at_work(queue), at_work(queue), at_work(queue):
        await until("three times", fired)
        await queue.jobs.schedules.pause("often")
        schedule = await queue.jobs.schedules.get("often")
        jobs = list(await queue.jobs.list(limit=100))
    assert len(jobs) == schedule.fired
    assert len({job.queue_metadata.scheduled_for for job in jobs}) == schedule.fired
    assert {job.priority for job in jobs} == {"high"}
    assert schedule.next_at is None
    assert max(job.queue_metadata.scheduled_for for job in jobs) == schedule.last_at
    assert schedule.last_job_id in {job.job_id for job in jobs}
    assert (await queue.jobs.schedules.resume("often")).next_at is not None


@pytest.mark.parametrize(("catch_up", "made_up"), [("skip", 0), ("latest", 1), ("all", 3)])
async def test_missed_times_are_made_up_for_as_said(
    queue: MessageService, database: Database, catch_up: str, made_up: int
) -> None:
    """A daily schedule nobody served for three days; the last of its times was two hours ago."""
    last = (datetime.now(UTC) - timedelta(hours=2)).replace(second=0, microsecond=0)
    cron = f"{last.minute} {last.hour} * * *"
    await queue.jobs.schedules.set("daily", cron, "note", catch_up=catch_up)
    await database["job_schedules"].update_one(
        {"name": "daily"}, {"$set": {"next_at": last - timedelta(days=2)}}
    )

    async def is_up_to_date() -> bool:
        schedule = await queue.jobs.schedules.get("daily")
        return schedule.next_at == last + timedelta(days=1)

    async with at_work(queue):
        await until("the schedule is up to date", is_up_to_date)
    jobs = list(await queue.jobs.list())
    times = sorted(job.queue_metadata.scheduled_for for job in jobs)
    assert times == [last - timedelta(days=2 - n) for n in range(3)][3 - made_up :]


async def test_a_schedule_set_again_does_not_repeat_a_time(
    queue: MessageService, database: Database
) -> None:
    last = (datetime.now(UTC) - timedelta(hours=2)).replace(second=0, microsecond=0)
    cron = f"{last.minute} {last.hour} * * *"

    async def is_up_to_date() -> bool:
        schedule = await queue.jobs.schedules.get("daily")
        return schedule.next_at == last + timedelta(days=1)

    async with at_work(queue):
        for _ in range(2):
            await queue.jobs.schedules.set("daily", cron, "note")
            await database["job_schedules"].update_one(
                {"name": "daily"}, {"$set": {"next_at": last}}
            )
            await until("the schedule is up to date", is_up_to_date)
            await queue.jobs.schedules.remove("daily")
    assert len(await queue.jobs.list()) == 1


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"cron": "0 0 30 2 *"}, "cron"),
        ({"cron": "often"}, "cron"),
        ({"time_zone": "Europe/Berlyn"}, "time_zone"),
        ({"catch_up": "maybe"}, "catch_up"),
        ({"name": ""}, "name"),
        ({"job_type": "unheard"}, "job_type"),
        ({"scheduled_for": datetime(2099, 1, 1, tzinfo=UTC)}, "scheduled_for"),
        ({"priority": "top"}, "priority"),
        ({"config": {"$where": 1}}, "config.'$where'"),
    ],
)
async def test_bad_schedules_are_refused_by_field(
    queue: MessageService, change: dict[str, Any], field: str
) -> None:
    given: dict[str, Any] = {"name": "a", "cron": "0 3 * * *", "job_type": "note"}
    with pytest.raises(errors.InvalidInput) as caught:
        await queue.jobs.schedules.set(**{**given, **change})
    assert caught.value.field == field
    assert await queue.jobs.schedules.list() == []


async def test_the_commands(
    queue: MessageService, mongo_uri: str, database: Database, tmp_path: Path
) -> None:
    cli = Cli(mongo_uri, database.name, tmp_path)
    words = ("jobs", "schedule")
    zone = ("--time-zone", "Asia/Tokyo", "--force")
    [made] = cli.json(*words, "set", "nightly", "0 3 * * *", "note", '{"n": 1}', *zone)
    assert (made["job"]["config"], made["time_zone"]) == ({"n": 1}, "Asia/Tokyo")
    assert "18:00:00" in cli(*words, "list")
    assert "paused" in cli(*words, "pause", "nightly")
    assert "goes on" in cli(*words, "resume", "nightly")
    assert "CRON" in cli(*words, "set", "x", "0 0 30 2 *", "note", "--force", code=2)
    assert "removed" in cli(*words, "remove", "nightly")
    assert "not found" in cli(*words, "remove", "nightly", code=3)
    assert await queue.jobs.schedules.list() == []
