"""Writers, backups and faults at once; then restores to instants drawn by chance.

Each writer notes what it asked for, when, and when it was acknowledged. A restore must show exactly
what was acknowledged by its instant: of a write that was on its way then either state, of anything
else one.

    cd tests && python -m support.backup_campaign --seconds 60 --instants 20 --seed 1
"""

from __future__ import annotations

import argparse
import asyncio
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pymongo import AsyncMongoClient
from pymongo.errors import PyMongoError

from message_service.backup.place import FULL_LEASE, HISTORY_LEASE
from message_service.backup.scheduled import ScheduledBackups
from message_service.database.client import build_client, open_database
from message_service.database.rebuilding import STATE
from message_service.documents.row import Row
from message_service.settings import Settings
from message_service.stopping import StopSignal
from support.backups import backups_of
from support.commands import Command
from support.replica_sets import ReplicaSet
from support.waiting import until

NAME = "campaign"
KEYS = 6
COLLECTIONS = ("ledger", "other")


@dataclass
class Write:
    """A write of one document: when it was sent and acknowledged (ms), and what it made of it."""

    sent: int
    acked: int
    result: Row | None


@dataclass
class Log:
    """What the writers did, by collection and `_id`."""

    writes: dict[tuple[str, str], list[Write]] = field(
        default_factory=dict[tuple[str, str], list[Write]]
    )

    def note(self, place: tuple[str, str], write: Write) -> None:
        self.writes.setdefault(place, []).append(write)

    def allowed(self, place: tuple[str, str], at: int) -> list[Row | None]:
        """Return the states a document may have at an instant."""
        states: list[Row | None] = [None]
        for write in self.writes.get(place, ()):
            if write.acked <= at:
                states = [write.result]
            elif write.sent <= at:
                states.append(write.result)
        return states


def now() -> int:
    return int(time.time() * 1_000)


class Writer:
    """Writes documents that no other writer writes."""

    def __init__(self, database: Any, number: int, log: Log, seed: int) -> None:
        self._database = database
        self._number = number
        self._log = log
        self._draw = random.Random(f"{seed}/{number}")
        self._count = 0
        self._known: dict[tuple[str, str], Row | None] = {}

    async def run(self, stop: StopSignal) -> None:
        while not stop.requested:
            self._count += 1
            name = f"w{self._number}k{self._draw.randrange(KEYS)}"
            if self._draw.random() < 0.3:
                await self._pair(f"p{self._number}k{self._draw.randrange(2)}")
            else:
                await self._single((self._draw.choice(COLLECTIONS), name))

    async def _single(self, place: tuple[str, str]) -> None:
        collection, identity = place
        before = self._known.get(place)
        chosen = {"_id": identity}
        kind = self._draw.random()
        result: Row | None
        if before is None:
            result = {"_id": identity, "n": self._count, "list": [self._count]}
            await self._do([(place, result)], "insert_one", collection, result)
        elif kind < 0.2:
            await self._do([(place, None)], "delete_one", collection, chosen)
        elif kind < 0.4:
            result = {"_id": identity, "n": self._count, "list": [], "text": "é" * 500}
            await self._do([(place, result)], "replace_one", collection, chosen, result)
        else:
            result = {**before, "n": self._count, "list": [*before["list"], self._count]}
            change = {"$set": {"n": self._count}, "$push": {"list": self._count}}
            await self._do([(place, result)], "update_one", collection, chosen, change)

    async def _do(
        self,
        results: list[tuple[tuple[str, str], Row | None]],
        call: str,
        collection: str,
        *arguments: Any,
    ) -> None:
        sent = now()
        try:
            await getattr(self._database[collection], call)(*arguments)
        except PyMongoError:
            await self._learn(results, sent)
            return
        self._note(results, sent)

    async def _pair(self, identity: str) -> None:
        """Write two documents in a transaction."""
        results = [
            ((collection, identity), {"_id": identity, "n": self._count})
            for collection in COLLECTIONS
        ]

        async def work(session: Any) -> None:
            for (collection, _), document in results:
                await self._database[collection].replace_one(
                    {"_id": identity}, document, upsert=True, session=session
                )

        sent = now()
        try:
            async with self._database.client.start_session() as session:
                await session.with_transaction(work)
        except PyMongoError:
            await self._learn([*results], sent)
            return
        self._note([*results], sent)

    def _note(self, results: list[tuple[tuple[str, str], Row | None]], sent: int) -> None:
        acked = now()
        for place, result in results:
            self._log.note(place, Write(sent, acked, result))
            self._known[place] = result

    async def _learn(self, results: list[tuple[tuple[str, str], Row | None]], sent: int) -> None:
        """Look whether a write without an answer was done."""

        async def look() -> list[Row | None] | None:
            try:
                return [
                    await self._database[collection].find_one({"_id": identity})
                    for (collection, identity), _ in results
                ]
            except PyMongoError:
                return None

        found = await until("an answer after a failover", look)
        if found == [result for _, result in results]:
            self._note(results, sent)


@dataclass
class Campaign:
    """One run.

    Attributes:
        directory: Where servers and backups go.
        seconds: How long is written.
        instants: How many instants are restored to.
        seed: Of all that is drawn by chance.
        writers: How many write at a time.
    """

    directory: Path
    seconds: float
    instants: int
    seed: int
    writers: int = 6
    befell: Counter[str] = field(default_factory=Counter[str])
    log: Log = field(default_factory=Log)

    async def run(self, three: ReplicaSet) -> None:
        uri = f"{three.uri}&w=majority"
        client = build_client(Settings(min_pool_size=0), uri)
        try:
            await self._run(three, uri, client)
        finally:
            await client.close()

    async def _run(self, three: ReplicaSet, uri: str, client: AsyncMongoClient[Row]) -> None:
        database = open_database(client, NAME)
        for name in COLLECTIONS:
            await database.create_collection(name)
        place = self.directory / "backups"
        backups = await backups_of(database, place)
        await backups.set_schedule(follow=0.2)
        first = await backups.full()
        stop = StopSignal()
        tasks = [
            asyncio.create_task(Writer(database, number, self.log, self.seed).run(stop))
            for number in range(self.writers)
        ]
        faults = asyncio.create_task(self._befall(three, uri, database, place, stop))
        await asyncio.wait([*tasks, faults], timeout=self.seconds)
        stop.request()
        await asyncio.gather(*tasks, faults)
        await self._free(database)
        last = await backups.incremental()
        assert last.full is None, f"a gap: {last.reason}"
        assert last.taken is not None
        assert len(await backups.window()) == 1
        verified = await backups.verify(restore=True)
        assert not verified.problems, verified.problems
        draw = random.Random(f"{self.seed}/instants")
        newest = (await backups.window())[0].through_wall
        for _ in range(self.instants):
            at = draw.randint(first.taken_wall, newest)
            await self._restore(three, database, place, uri, at)

    async def _befall(
        self, three: ReplicaSet, uri: str, database: Any, place: Path, stop: StopSignal
    ) -> None:
        """Let things happen until it ends; the following goes on after each."""
        draw = random.Random(f"{self.seed}/faults")
        following = await self._start(uri, place, "backup", "follow")
        while not stop.requested:
            await stop.pause(draw.uniform(0.3, 2.0))
            await self._free(database)
            match draw.choices(("follow", "full", "full killed", "election"), (4, 3, 3, 1))[0]:
                case "follow":
                    if following.process.returncode is None:
                        following.process.kill()
                    # It ends by itself when it is started while there is no primary.
                    assert await following.process.wait() in {-9, 6}, following.err
                    following = await self._start(uri, place, "backup", "follow")
                    self.befell["killed while following"] += 1
                case "full":
                    full = await self._start(uri, place, "backup", "run", "--full")
                    code = await full.ended()
                    assert code in {0, 4, 6}, full.err
                    self.befell[f"full with exit code {code}"] += 1
                case "full killed":
                    full = await self._start(uri, place, "backup", "run", "--full")
                    await asyncio.sleep(draw.uniform(0.5, 1.6))
                    if full.process.returncode is None:
                        full.process.kill()
                        self.befell["killed in a full backup"] += 1
                    await full.process.wait()
                case _:
                    await three.fail_over()
                    self.befell["election"] += 1
        if following.process.returncode is None:
            following.process.send_signal(signal.SIGTERM)
        # Terminated before it takes signals, while it is being started, it ends as any process.
        assert await following.ended() in {0, 6, -15}, following.err

    async def _start(self, uri: str, place: Path, *words: str) -> Command:
        number = sum(1 for each in self.directory.glob("command*"))
        return await Command.start(
            uri,
            self.directory / f"command{number}",
            *("--database", NAME, *words, "--target", place),
        )

    async def _free(self, database: Any) -> None:
        """Have the leases of the killed end at once, instead of after some seconds."""
        names = [FULL_LEASE, HISTORY_LEASE, ScheduledBackups.name]

        async def freed() -> bool:
            try:
                await database["schema_state"].update_many(
                    {"_id": {"$in": names}}, {"$set": {"holder": None}}
                )
                await database.client[f"{NAME}_restore"][STATE].update_many(
                    {"_id": "lease"}, {"$set": {"holder": None}}
                )
            except PyMongoError:
                return False
            return True

        await until("the leases to be freed", freed)

    async def _restore(
        self, three: ReplicaSet, database: Any, place: Path, uri: str, at: int
    ) -> None:
        """Restore to an instant, killed some times before it is done, or failed over; compare."""
        draw = random.Random(f"{self.seed}/{at}")
        moment = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at // 1_000))
        target = f"{NAME}_restore"
        await database.client.drop_database(target)
        words = ("restore", "--to", f"{moment}.{at % 1_000:03d}Z")
        kills = draw.randrange(3)
        for _ in range(kills):
            restore = await self._start(uri, place, *words)
            await asyncio.sleep(draw.uniform(0.7, 1.4))
            if restore.process.returncode is None:
                restore.process.kill()
                self.befell["killed in a restore"] += 1
            await restore.process.wait()
            if restore.process.returncode == 0:
                await database.client.drop_database(target)
            await self._free(database)
        code = 6
        while code == 6:
            restore = await self._start(uri, place, *words)
            if draw.random() < 0.2:
                await three.fail_over()
                self.befell["election in a restore"] += 1
            code = await restore.ended()
            assert code in {0, 6}, restore.err
            await self._free(database)
        self.befell["restores compared"] += 1
        await self._compare(database.client[target], at)

    async def _compare(self, restored: Any, at: int) -> None:
        found = {
            (collection, row["_id"]): row
            for collection in COLLECTIONS
            async for row in restored[collection].find()
        }
        for place in {*found, *self.log.writes}:
            allowed = self.log.allowed(place, at)
            assert found.get(place) in allowed, (
                f"at {at} {place} is {found.get(place)}, and may be one of {allowed[:3]}"
            )
        for collection, identity in found:
            if identity.startswith("p"):
                pair = [found.get((each, identity)) for each in COLLECTIONS]
                assert pair[0] == pair[1], f"at {at}: half of a transaction ({collection})"


async def main(seconds: float, instants: int, seed: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        three = ReplicaSet(Path(directory))
        try:
            await three.start()
            campaign = Campaign(Path(directory), seconds, instants, seed)
            await campaign.run(three)
        finally:
            await three.stop()
    writes = sum(map(len, campaign.log.writes.values()))
    sys.stdout.write(f"seed {seed}: {writes:,} acknowledged writes\n")
    for what, count in sorted(campaign.befell.items()):
        sys.stdout.write(f"  {what}: {count}\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--instants", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    asyncio.run(main(given.seconds, given.instants, given.seed))
