"""A fault campaign on replies: `python -m support.reply_campaign --replies 2000 --workers 8`.

Replies of a provider that stalls, breaks off and refuses are made by processes that are killed, and
frozen for longer than their leases, while the primary steps down or is killed. Clients follow them,
ask twice, stop them, and take back what they asked. In the end each has one message that says what
its log and all followers say, or none and a reason.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import signal
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import IO, TypeVar

from pymongo.errors import PyMongoError

from message_service import MessageService, Reply, errors
from message_service.database.client import Database
from message_service.documents.row import Row
from message_service.stopping import end_tasks
from support.replica_sets import ReplicaSet
from support.reply_asked import CHANGES, Asked, Follower, choose_script
from support.reply_campaign_worker import LEASE, connected
from support.waiting import soon

WORKER = Path(__file__).with_name("reply_campaign_worker.py")
_USER = "user_000000000001"
_TURNS = 3
_ACTIONS = {"": 68, "cancel": 12, "delete": 5, "hide": 2, "edit": 4, "append": 4, "twice": 5}
T = TypeVar("T")


@dataclass
class Campaign:
    """One campaign: so many replies, worker processes and elections; a seed says what happens.

    With `most_faults`, workers are killed and frozen so many times, spread over the replies: a
    worker takes seconds to start on a busy machine, and some have to live.
    """

    three: ReplicaSet
    replies: int
    workers: int
    seed: int
    elections: int
    loud: bool = False
    most_faults: int | None = None
    database: str = "reply_campaign"
    done: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        chance = random.Random(self.seed)
        self.asked = [
            Asked(
                number,
                choose_script(number, chance),
                *chance.choices(list(_ACTIONS), list(_ACTIONS.values())),
                delay=chance.choice((0.0, 0.3, 0.8, 1.5)) * chance.random(),
                keep=chance.random() < 0.15,
                followed=chance.random() < 0.5,
            )
            for number in range(self.replies)
        ]
        self._chance = random.Random(self.seed + 1)
        self._running: list[asyncio.subprocess.Process] = []
        self._services: list[MessageService] = []
        self.conversations: list[str] = []
        self._said: IO[str]

    async def run(self, seconds: float) -> Counter[str]:
        """Ask, disturb, check; return how many ended how."""
        uri, name = self.three.uri, self.database
        several = [await soon("a primary", connected(uri, name)) for _ in range(2)]
        async with several[0] as one, several[1]:
            with tempfile.TemporaryFile("a+") as self._said:
                return await self._run(one, several, seconds)

    async def _run(
        self, one: MessageService, several: list[MessageService], seconds: float
    ) -> Counter[str]:
        self._services = several
        talking = asyncio.create_task(self._talk())
        try:
            await self._shorten_transactions()
            for _ in range(self.workers):
                await self._start()
            await self._disturb(talking, time.monotonic() + seconds)
        finally:
            await end_tasks((talking,))
            for process in self._running:
                with contextlib.suppress(ProcessLookupError):
                    process.send_signal(signal.SIGCONT)
                    process.kill()
                await process.wait()
        for conversation in self.conversations:
            proof = await one.messages.check(conversation)
            assert proof.complete, proof
        return await check(one.store.database, self.asked)

    def figures(self) -> Counter[str]:
        """Return what happened: to workers and server, and what followers saw of it."""
        followers = [follower for each in self.asked for follower in each.followers]
        return self.done + Counter(
            followers=len(followers),
            followed=sum(bool(each.followers) for each in self.asked),
            restarts_seen=sum(follower.restarts for follower in followers),
            resumed=sum(follower.resumed for follower in followers),
        )

    async def _talk(self) -> None:
        places = asyncio.Semaphore(self.workers * 6)
        one = self._services[0]

        async def converse(turns: list[Asked]) -> None:
            async with places:
                made = await persist(lambda: one.conversations.create(_USER))
                self.conversations.append(made.conversation_id)
                for asked in turns:
                    await self._turn(made.conversation_id, asked)
                    self.done["replies"] += 1

        async with asyncio.TaskGroup() as group:
            for start in range(0, self.replies, _TURNS):
                group.create_task(converse(self.asked[start : start + _TURNS]))

    async def _turn(self, conversation: str, asked: Asked) -> None:
        one, two = self._services
        key = f"request {asked.number}"
        question = await persist(
            lambda: one.messages.append(conversation, "user", key, client_msg_id=key)
        )

        async def ask(service: MessageService) -> Reply:
            options = {"on_interruption": "keep"} if asked.keep else {}
            request = partial(service.replies.request, conversation, request_id=key, **options)
            return await persist(lambda: request(model=asked.script.model))

        asking = (one, two) if asked.action == "twice" else (one,)
        replies = await asyncio.gather(*map(ask, asking))
        reply = asked.reply = replies[0]
        if asked.followed:
            asked.followers = self._followers(asked)
        async with asyncio.TaskGroup() as group:
            for follower in asked.followers:
                group.create_task(follower.run(reply.reply_id))
            if asked.action not in ("", "twice"):
                group.create_task(self._act(asked, conversation, question.message_id))
            asked.status = await persist(lambda: one.replies.wait(reply.reply_id, 20))
        if asked.action == "twice":
            replies.append(await ask(two))
        for again in replies:
            assert (again.reply_id, again.message_id) == (reply.reply_id, reply.message_id), asked

    def _followers(self, asked: Asked) -> list[Follower]:
        one, two = self._services
        chance = random.Random(asked.number)
        return [
            Follower(asked, [one]),
            Follower(asked, [two], middle=chance.random() < 0.5, pause=chance.random() * 2),
            Follower(asked, [two, one], False, chance.randint(1, 20), chance.random() * 2),
        ]

    async def _act(self, asked: Asked, conversation: str, question: str) -> None:
        """Stop the reply, or change what it answers."""
        await asyncio.sleep(asked.delay)
        one, two = self._services
        reply_id, key = asked.given.reply_id, f"more of {asked.number}"
        calls: dict[str, Callable[[], Awaitable[object]]] = {
            "cancel": lambda: two.replies.cancel(reply_id),
            "delete": lambda: one.messages.delete(conversation, question),
            "hide": lambda: one.messages.hide(conversation, question),
            "edit": lambda: one.messages.edit(conversation, question, "something else"),
            "append": lambda: one.messages.append(conversation, "user", key, client_msg_id=key),
        }
        with contextlib.suppress(errors.Conflict):  # ended, or done by a try without an answer
            await persist(calls[asked.action])
        if asked.action in CHANGES:
            asked.changed_at = datetime.now(UTC)

    async def _start(self) -> None:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(WORKER), self.three.uri, self.database),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=None if self.loud else self._said.fileno(),
        )
        self._running.append(process)

    async def _disturb(self, talking: asyncio.Task[None], deadline: float) -> None:
        chance, icy = self._chance, dict[asyncio.subprocess.Process, float]()
        while not talking.done():
            now = time.monotonic()
            left = [each for each in self.asked if each.reply and not each.status]
            assert now < deadline, f"replies are left: {self.done}, {left}"
            for process in [each for each, until in icy.items() if now >= until]:
                process.send_signal(signal.SIGCONT)
                del icy[process]
            elections = self.done["elections"]
            due = self.done["replies"] > self.replies * (elections + 0.5) / (self.elections + 1)
            if due and elections < self.elections:
                await self._elect(elections)
            ended = [process for process in self._running if process.returncode is not None]
            assert not ended, f"a worker ended by itself; all have said:\n{self._last_words()}"
            awake = [process for process in self._running if process not in icy]
            fate = chance.random() if self._fault_is_due() else 1.0
            if fate < 0.3:
                victim = chance.choice(awake)
                victim.kill()
                await victim.wait()
                self._running.remove(victim)
                await self._start()
                self.done["kills"] += 1
            elif fate < 0.6 and len(awake) > self.workers // 2:
                victim = chance.choice(awake)
                victim.send_signal(signal.SIGSTOP)
                icy[victim] = now + LEASE * (1.2 + chance.random())
                self.done["freezes"] += 1
            await asyncio.wait((talking,), timeout=0.3 + chance.random() * 1.5)
        talking.result()

    def _fault_is_due(self) -> bool:
        if self.most_faults is None:
            return True
        so_far = self.done["kills"] + self.done["freezes"]
        return so_far < self.most_faults * (self.done["replies"] + 1) / self.replies

    def _last_words(self) -> str:
        self._said.seek(0)
        return self._said.read()[-10_000:]

    async def _elect(self, before: int) -> None:
        if before % 2:
            await self.three.fail_over()
        else:
            with contextlib.suppress(PyMongoError):
                await self._services[0].store.database.client.admin.command("replSetStepDown", 5)
            await self.three.primary()
        await self._shorten_transactions()
        self.done["elections"] += 1

    async def _shorten_transactions(self) -> None:
        """Let the server end transactions of killed processes in seconds, not in a minute."""
        with contextlib.suppress(PyMongoError):
            await self._services[0].store.database.client.admin.command(
                {"setParameter": 1, "transactionLifetimeLimitSeconds": 3}
            )


async def persist(call: Callable[[], Awaitable[T]], seconds: float = 120.0) -> T:
    """Repeat a call through outages, for so long at most."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return await call()
        except errors.Unavailable:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.1)


async def check(database: Database, asked: list[Asked]) -> Counter[str]:
    """Check what is stored of each request; return how many ended how."""
    jobs = {job["job_id"]: job async for job in database["processing_queue"].find({})}
    assert len(jobs) == len(asked), (len(jobs), len(asked))
    messages: defaultdict[str, list[Row]] = defaultdict(list)
    async for message in database["messages"].find({"role": "assistant"}):
        messages[message["message_id"]].append(message)
    entries: defaultdict[str, list[Row]] = defaultdict(list)
    async for entry in database["reply_entries"].find({}).sort("number", 1):
        entries[entry["reply_id"]].append(entry)
    ends: Counter[str] = Counter()
    for each in asked:
        job_id = each.given.reply_id
        of_job = messages.pop(each.given.message_id, [])
        ends[each.check(jobs[job_id], of_job, entries[job_id])] += 1
    assert not messages, messages
    return ends


async def main() -> None:
    """Run the long campaign."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--replies", type=int, default=2_000)
    parser.add_argument("--workers", type=int, default=8)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--elections", type=int, default=6)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--loud", action="store_true", help="show what workers log")
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    with tempfile.TemporaryDirectory() as directory:
        three = ReplicaSet(Path(directory))
        try:
            await three.start()
            campaign = Campaign(
                three, given.replies, given.workers, given.seed, given.elections, given.loud
            )
            began = time.monotonic()
            ends = await campaign.run(given.minutes * 60)
            print(f"{time.monotonic() - began:.0f} s: {dict(campaign.figures())}")
            for name, count in ends.most_common():
                print(f"  {count:>6,} {name}")
        finally:
            await three.stop()


if __name__ == "__main__":
    asyncio.run(main())
