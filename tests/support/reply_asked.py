"""What the campaign on replies asks for, and what its clients and followers see of it.

A script's texts begin with other words for each try in one process, go on with the mark of the
request, and then count: no two replies, and hardly two tries of one, say the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime
from typing import cast

from message_service import MessageService, Reply, ReplyEvent, ReplyStatus, errors
from message_service.documents.row import Row
from message_service.generation.failures import FailureKind

CHANGES = {
    "delete": "parent_deleted",
    "hide": "parent_deleted",
    "edit": "parent_edited",
    "append": "superseded",
}
_OTHERS_FAULTS = {"rate_limited", "circuit_open", "worker_lost"}
"""Why a reply may fail whose provider would have given it."""
_REASONS = {kind.value for kind in FailureKind} | _OTHERS_FAULTS

_TRIES = ("one ", "two ", "three ")

_SCRIPTS: dict[str, tuple[int, str]] = {
    "words": (55, "HEAD|TAIL"),
    "reasoning": (4, "think hm hm|HEAD|TAIL"),
    "refusal": (2, "HEAD|TAIL|refuse no more"),
    "length": (2, "HEAD|TAIL|finish length"),
    "call": (2, 'HEAD|TAIL|call weather {"city": "Rome"}'),
    "cut once": (5, "HEAD|first 1 cut|TAIL"),
    "cut at the end once": (2, "HEAD|TAIL|first 1 cut"),
    "stalled once": (3, "HEAD|first 1 stall|TAIL"),
    "late once": (2, "first 1 pause 2.5|HEAD|TAIL"),
    "garbage once": (2, "HEAD|first 1 garbage|TAIL"),
    "server error twice": (2, "first 2 fail server_error|HEAD|TAIL"),
    "rate limited once": (3, "first 1 fail rate_limited 0.3|HEAD|TAIL"),
    "rate limited for long": (2, "first 1 fail rate_limited 1.5|HEAD|TAIL"),
    "rate limited within": (1, "HEAD|first 1 fail rate_limited 0.2|TAIL"),
    "invalid call once": (2, "HEAD|TAIL|first 1 call weather {oops"),
    "always cut": (2, "HEAD|cut"),
    "always stalled": (1, "HEAD|stall"),
    "never begins": (1, "stall"),
    "always garbage": (1, "HEAD|garbage"),
    "always empty": (2, "pause 0.1"),
    "always an invalid call": (1, "HEAD|TAIL|call weather {oops"),
    "always unauthorized": (1, "fail unauthorized"),
    "always server error": (1, "HEAD|fail server_error"),
    "always rate limited": (1, "fail rate_limited 0.2"),
}


@dataclass(frozen=True, slots=True)
class Script:
    """What the provider does for one request, and what its tries say, uninterrupted."""

    name: str
    model: str
    wholes: tuple[str, ...]

    @property
    def doomed(self) -> bool:
        return self.name.startswith(("always", "never"))

    def says(self, text: str) -> bool:
        return any(whole.startswith(text) for whole in self.wholes)


def choose_script(number: int, chance: random.Random) -> Script:
    weights = [weight for weight, _ in _SCRIPTS.values()]
    [name] = chance.choices(list(_SCRIPTS), weights)
    words = chance.randint(4, 40)
    steps = [f"first {n} say {word}" for n, word in enumerate(_TRIES, 1)]
    head = "|".join([f"pace {chance.uniform(0.005, 0.04):.3f}", *steps, f"say m{number} "])
    model = _SCRIPTS[name][1].replace("HEAD", head).replace("TAIL", f"words {words}")
    counted = " ".join(f"w{n}" for n in range(1, words + 1))
    begins = ["".join(_TRIES[first:]) for first in range(len(_TRIES) + 1)]
    return Script(name, model, tuple(f"{begin}m{number} {counted}" for begin in begins))


@dataclass
class Asked:
    """One request, and what its client and followers have seen of it."""

    number: int
    script: Script
    action: str
    delay: float
    keep: bool
    followed: bool
    reply: Reply | None = None
    status: ReplyStatus | None = None
    changed_at: datetime | None = None
    seen: dict[int, ReplyEvent] = field(default_factory=dict)
    followers: list[Follower] = field(default_factory=list)

    @property
    def given(self) -> Reply:
        assert self.reply is not None, self
        return self.reply

    def check(self, job: Row, messages: list[Row], entries: list[Row]) -> str:
        """Check what is stored of it against what was seen; return how it ended."""
        assert self.status is not None, self
        execution, where = job["execution"], (self, job, messages, entries)
        ended = (self.status.status, self.status.reason, self.status.message_id)
        said, finish = self._check_log(entries), None
        text = said.get("text", "")
        if job["status"] == "completed":
            assert ended == ("completed", None, self.given.message_id), where
            [message] = messages
            assert message["message_id"] == self.given.message_id, where
            assert message["token_usage"]["usage_state"], where
            assert _said_by(message["content"]) == said, where
            finish = message["llm_metadata"]["finish_reason"]
            assert finish == self.status.finish_reason == entries[-1]["finish_reason"], where
            assert entries[-1]["message_id"] == self.given.message_id, where
            self._check_finish(finish, text, entries)
            assert self.changed_at is None or execution["completed_at"] <= self.changed_at, where
        else:
            assert ended == (job["status"], execution["reason"], None), where
            assert not messages, where
            self._check_reason(job["status"], execution)
        for follower in self.followers:
            last = follower.last
            assert last is not None, where
            assert last.finish_reason == finish, where
            assert last.reason == (None if finish else execution["reason"]), where
            assert not finish or follower.text in (None, text), where
        for offset, event in self.seen.items():
            entry = entries[offset]
            assert (event.kind, event.text) == (entry["kind"], entry.get("text", "")), where
        return f"{job['status']} {finish or execution['reason']}"

    def _check_log(self, entries: list[Row]) -> dict[str, str]:
        """Check that each stretch of the log is of one worker; return what the last one says."""
        said, writer, kind = dict[str, str](), None, ""
        for place, entry in enumerate(entries):
            where = (self, place, entries)
            assert entry["number"] == place, where
            assert kind != "end", where
            assert kind != "stop" or entry["kind"] == "end", where
            kind = entry["kind"]
            if kind == "begin":
                said, writer = {}, entry["writer"]
            elif kind not in ("stop", "end"):
                assert entry["writer"] == writer, where
                said[kind] = said.get(kind, "") + entry["text"]
            assert self.script.says(said.get("text", "")), where
        return said

    def _check_finish(self, finish: str, text: str, entries: list[Row]) -> None:
        where = (self, text, entries)
        stopped = any(entry["kind"] == "stop" for entry in entries)
        assert stopped == (finish == "cancelled"), where
        assert not stopped or self.action == "cancel", where
        if finish == "interrupted":
            assert self.keep, where
        elif finish != "cancelled":
            assert finish == ("length" if self.script.name == "length" else "stop"), where
            assert text in self.script.wholes, where
            assert not self.script.doomed, where
            [*_, begin] = [entry for entry in entries if entry["kind"] == "begin"]
            assert entries[-1]["writer"] == begin["writer"], where

    def _check_reason(self, status: str, execution: Row) -> None:
        reason, where = execution["reason"], (execution, self)
        if status == "cancelled":
            due = CHANGES.get(self.action)
            assert reason == (due or "stopped"), where
            assert due or self.action == "cancel", where
        else:
            assert reason in (_REASONS if self.script.doomed else _OTHERS_FAULTS), where


@dataclass
class Follower:
    """One follower, on one service after the other; in the middle, it has no text at first."""

    asked: Asked
    services: list[MessageService]
    middle: bool = False
    leaves_after: int = 0
    pause: float = 0.1
    offset: int = -1
    text: str | None = ""
    restarts: int = 0
    resumed: int = 0
    last: ReplyEvent | None = None

    async def run(self, reply_id: str) -> None:
        if not self.leaves_after:
            await asyncio.sleep(self.pause)
        if self.middle:
            self.offset, self.text = max(self.asked.seen, default=0) // 2, None
        while self.last is None:
            with contextlib.suppress(errors.Unavailable):
                await self._follow(reply_id)
            if self.last is None:
                self.resumed += 1
                await asyncio.sleep(self.pause)

    async def _follow(self, reply_id: str) -> None:
        service = self.services[self.resumed % len(self.services)]
        events = service.replies.follow(reply_id, after=self.offset)
        came = 0
        async with aclosing(cast("AsyncGenerator[ReplyEvent, None]", events)) as following:
            async for event in following:
                self._take(event)
                came += 1
                if came == self.leaves_after and not self.resumed:
                    return

    def _take(self, event: ReplyEvent) -> None:
        where = (self.asked, self.offset, event)
        assert self.last is None, where
        if event.last:
            self.last = event
        if event.kind in ("failed", "cancelled"):
            assert event.offset == self.offset, where
            return
        assert event.offset == self.offset + 1, where
        assert self.asked.seen.setdefault(event.offset, event) == event, where
        self.offset = event.offset
        if event.kind == "begin":
            self.text = ""
            self.restarts += event.offset > 0
        elif event.kind == "text" and self.text is not None:
            self.text += event.text
        assert self.text is None or self.asked.script.says(self.text), where


def _said_by(content: Row) -> Row:
    text = content.get("text", "")  # the only text of a message is not stored twice
    parts = content.get("parts") or [{"type": "text"}]
    return {each["type"]: each.get("text", text) for each in parts if each["type"] != "tool_call"}
