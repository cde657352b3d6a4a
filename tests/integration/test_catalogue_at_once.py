"""Applies at the same time, and the lease between them."""

from __future__ import annotations

import asyncio
import json
import secrets
import subprocess
import sys
from datetime import timedelta
from typing import Any

import pytest
from pymongo import AsyncMongoClient

from message_service import errors
from message_service.database.client import build_client, open_database
from message_service.documents.row import Row
from message_service.schema import lock, schema_state
from message_service.schema.apply import apply, ensure
from message_service.settings import Settings
from support.catalogues import (
    CLOCK,
    Database,
    differences,
)
from support.waiting import until


async def test_applies_at_once_do_the_work_once(
    mongo_uri: str, settings: Settings, database: Database
) -> None:
    clients: list[AsyncMongoClient[Row]] = [build_client(settings, mongo_uri) for _ in range(3)]
    reports = await asyncio.gather(
        *(apply(open_database(client, database.name), clock=CLOCK) for client in clients)
    )
    for client in clients:
        await client.close()
    assert sorted(bool(report.done) for report in reports) == [False, False, True]
    assert all(report.left == () for report in reports)
    assert await differences(database) == []


async def test_services_that_connect_at_once_find_a_ready_database(
    mongo_uri: str, settings: Settings, database: Database
) -> None:
    clients: list[AsyncMongoClient[Row]] = [build_client(settings, mongo_uri) for _ in range(4)]

    async def connect(client: AsyncMongoClient[Row]) -> bytes:
        ours = open_database(client, database.name)
        await ensure(ours, CLOCK)
        return await schema_state.cursor_secret(ours, secrets.token_bytes)

    found = set(await asyncio.gather(*(connect(client) for client in clients)))
    for client in clients:
        await client.close()
    assert await differences(database) == []
    (secret,) = found
    assert len(secret) == 32


def test_processes_that_apply_at_once_do_the_work_once(mongo_uri: str, database: Database) -> None:
    command = [
        sys.executable, "-c", "from message_service.cli import main; main()",
        "--uri", mongo_uri, "--database", database.name, "db", "apply", "--json",
    ]  # fmt: skip
    running = [
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    ended = [(process, *process.communicate(timeout=120)) for process in running]
    assert [(process.returncode, err) for process, _, err in ended] == [(0, "")] * 3
    reports = [json.loads(out) for _, out, _ in ended]
    assert sorted(bool(report["done"]) for report in reports) == [False, False, True]
    assert [report["left"] for report in reports] == [[], [], []]


async def test_an_apply_waits_for_the_lease_and_says_who_holds_it(database: Database) -> None:
    async with lock.held(database, "somebody else"):
        assert await lock.holder(database) == "somebody else"
        with pytest.raises(errors.CatalogueError, match="somebody else"):
            await apply(database, clock=CLOCK, wait=0)
    assert await lock.holder(database) is None
    await apply(database, clock=CLOCK, wait=0)


async def test_the_lease_of_a_holder_that_died_runs_out(database: Database) -> None:
    dead = lock.ApplyLease(database, "dead", 0.2)
    assert (await dead.lease.lease.try_acquire())["holder"] == "dead"
    report = await apply(database, clock=CLOCK, wait=30)
    assert report.done
    with pytest.raises(errors.CatalogueError, match="lost"):
        await dead.renew()


async def test_a_holder_that_lives_keeps_its_lease_beyond_its_length(database: Database) -> None:
    async with lock.held(database, "alive", lease=0.3):
        locks = database.get_collection(schema_state.COLLECTION)
        first = await locks.find_one({"_id": "apply_lock"})
        assert first is not None
        later = first["expires_at"] + timedelta(seconds=0.3)

        async def renewed() -> bool:
            return (
                await locks.find_one({"_id": "apply_lock", "expires_at": {"$gt": later}})
                is not None
            )

        await until("the lease to be renewed", renewed)
        assert await lock.holder(database) == "alive"


async def test_an_apply_that_lost_its_lease_stops_before_the_next_step(database: Database) -> None:
    taken: list[str] = []

    def steal(line: str) -> None:
        taken.append(line)
        if len(taken) == 1:
            thief.start()

    class Thief:
        task: asyncio.Task[Any] | None = None

        def start(self) -> None:
            locks = database.get_collection(schema_state.COLLECTION)
            self.task = asyncio.create_task(
                locks.update_one({"_id": "apply_lock"}, {"$set": {"holder": "thief"}})
            )

    thief = Thief()
    with pytest.raises(errors.CatalogueError, match="lost"):
        await apply(database, clock=CLOCK, progress=steal)
    assert thief.task is not None
    await thief.task
    assert (await schema_state.read(database)).version is None
    locks = database.get_collection(schema_state.COLLECTION)
    lease = await locks.find_one({"_id": "apply_lock"})
    assert lease is not None
    assert lease["holder"] == "thief"  # not released by one who does not hold it
