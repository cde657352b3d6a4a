"""Every public call, built from a table of valid values by parameter name."""

from __future__ import annotations

import inspect
import os
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from message_service import (
    Attachment,
    Backups,
    JobRegistry,
    JudgeOptions,
    KeepPolicy,
    MessageService,
    NewJob,
    NewMessage,
    ReplyOptions,
    Settings,
    StopSignal,
    errors,
)
from message_service.clock import SystemClock
from message_service.ids import IdKind, derived_id
from message_service.interchange.report import ImportReport
from support.waiting import soon
from support.wrong_values import fields_of, methods_of, named, slots_within, with_value

USER = "user_000000000001"
NOW = datetime(2025, 1, 1, tzinfo=UTC)
BUSY = 2.0

OPEN = {
    "changes": {},
    "fields": fields_of(NewMessage),
    "options": {},
    "overrides": fields_of(Settings),
}
"""Parameters that stand for the fields of a model, and places for these."""

ONCE = {"job_id", "scheduled_for", "expires_at", "depends_on", "job_type", "config"}

OPEN_OF = {
    "tenant.jobs.schedules.set": {
        "fields": {key: value for key, value in fields_of(NewJob).items() if key not in ONCE}
    },
    "service.declare_job_type": {
        "options": {"queue": "mine", "priority": "high", "max_attempts": 2, "timeout_seconds": 1.5}
    },
    "tenant.jobs.enqueue": {"fields": fields_of(NewJob)},
    **{
        f"tenant.replies.{name}": {"options": fields_of(ReplyOptions)}
        for name in ("request", "regenerate", "continue_", "preview")
    },
    "service.backups.set_schedule": {
        "changes": {
            "full": "0 2 * * 1",
            "incremental": "0 2 * * 2",
            "follow": 60.0,
            "time_zone": "UTC",
            "days": 30,
            "weeks": 1,
            "months": 1,
        }
    },
    "tenant.quality.evaluate": {"options": fields_of(JudgeOptions)},
}
"""The same, where a name stands for another model in one call."""

TOGETHER = {
    *("admin", "conversation_id", "exist_ok", "min_sequence", "text", "timeout", "token_count"),
    *("judge", "only", "over", "top", "wait"),
}
"""Optional parameters without which another one means nothing."""

PRICES = '[[price]]\nprovider = "mine"\nmodel = "*"\ninput = 1\noutput = 2\n'

USAGE = "start_time,model,input_tokens,output_tokens\n1735603200,gpt-4o,1,2\n"

OF_DAYS = ("tenant.analytics.", "service.rollups.")

DAYS = {
    "by": "user",
    "day": date(2025, 1, 1),
    "since": date(2025, 1, 1),
    "until": date(2025, 1, 3),
}
"""Values of calls that take days."""

NOT_CALLED = {
    "tenant.jobs.events",
    "service.close",
    "service.search_index.close",
    "StopSignal.race",
}
"""They end what the others need, do not end, or take a coroutine of the caller's."""


ENDED = {
    "tenant.jobs.retry": "failed",
    "tenant.jobs.wait": "completed",
    "tenant.jobs.result": "completed",
    "tenant.replies.follow": "completed",
    "tenant.replies.wait": "completed",
    "made up": "completed",  # any number of seconds is a right time to wait for a job that runs
}
"""Calls that need a job that has ended."""


class Busy(Exception):
    """A call took the processor and did not give it back."""


class Stopped(StopSignal):
    """A loop with it ends at once."""

    def __init__(self) -> None:
        super().__init__()
        self.request()


def print_nothing(_progress: object) -> None:
    """Be told how far something is."""


async def nothing(_transaction: object) -> None:
    """The work of a transaction."""


@dataclass
class Target:
    """What the calls are made on, and the valid values for them."""

    service: MessageService
    uri: str
    home: Path
    conversation: str = ""
    message: str = ""
    job: str = ""
    attachment: Attachment = field(default_factory=Attachment)
    parameters: dict[str, dict[str, Any]] = field(default_factory=dict)
    methods: dict[str, Callable[..., Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.service.backups = Backups(
            self.service.store.database,
            self.service.server,
            Settings(backup_target=SecretStr(str(self.home / "backups"))),
            SystemClock(),
            os.urandom,
        )
        seen = set[int]()
        for root, name in (
            (self.service.tenant("default"), "tenant"),
            (self.service, "service"),
            (StopSignal(), "StopSignal"),
        ):
            self.methods |= dict(methods_of(root, name, seen))
        for name in NOT_CALLED:
            del self.methods[name]

    async def begin(self, method: str) -> None:
        """Give a method a conversation of its own."""
        self.conversation = derived_id(IdKind.CONVERSATION, method)
        await self.service.conversations.create(
            USER, conversation_id=self.conversation, exist_ok=True
        )
        for text in ("first", "second"):
            done = await self.service.messages.append(self.conversation, "user", text)
        self.message = done.message_id
        self.job = (await self.service.jobs.enqueue("message_processing")).job_id
        if method.startswith("tenant.replies."):
            await self._reply(method)
        if method.startswith("service.backups."):
            await self.service.backups.full()
        if method.startswith("tenant.quality."):
            done = await self.service.messages.append(self.conversation, "assistant", "yes")
            self.message = done.message_id
        if method.startswith("tenant.characters."):
            await self.service.characters.set("char_000000000001", {"name": "Luna"})
        await self.service.jobs.schedules.set("jsonl", "0 3 * * *", "message_processing")
        if method in ENDED:
            await self.service.store.collection("processing_queue").update_one(
                {"tenant_id": "default", "job_id": self.job},
                {"$set": {"status": ENDED[method]}, "$unset": {"claim_order": ""}},
            )
        self.attachment = await self.service.attachments.put(b"bytes")
        (self.home / "prices.toml").write_text(PRICES)
        (self.home / "usage.csv").write_text(USAGE)

    async def _reply(self, method: str) -> None:
        """Ask for a reply; where a method needs one that is there, store several."""
        replies, messages = self.service.replies, self.service.messages
        self.job = (await replies.request(self.conversation)).reply_id
        if method.rpartition(".")[2] in {"regenerate", "continue_", "alternatives", "swipe"}:
            asked = self.message
            for number in range(8):
                branch = await messages.branch(self.conversation, asked, name=f"other{number}")
                await messages.append(self.conversation, "assistant", "no", branch=branch.name)
            done = await messages.append(self.conversation, "assistant", "yes", branch="main")
            self.message = done.message_id
            await self.service.conversations.patch(self.conversation, active_branch="other0")
            if method.endswith(("regenerate", "continue_")):
                await self.service.conversations.patch(self.conversation, active_branch="main")

    @cached_property
    def settings(self) -> Settings:
        # Whoever leaves out the address is to start no server beside the one of the tests.
        return Settings(
            min_pool_size=0,
            server_selection_timeout=0.3,
            local_server_dir=self.home / "server",
            mongod=self.home / "mongod",
            database=self.service.settings.database,
        )

    def valid(self, method: str) -> dict[str, Any]:
        """Return a valid value for every parameter name there is."""
        return self._valid() | (DAYS if method.startswith(OF_DAYS) else {})

    def _valid(self) -> dict[str, Any]:
        return {
            "active_branch": "main",
            "admin": True,
            "after": 0,
            "at": NOW,
            "attachment": self.attachment.hash,
            "attachments": [Attachment(pointer="file-abc")],
            "backlog": False,
            "backups": [],
            "before": 100,
            "branch": "main",
            "by": ["day", "user"],
            "card": {"name": "Luna", "author_note": "Be brief.", "author_note_depth": 2},
            "character_id": "char_000000000001",
            "catch_up": "latest",
            "clock": SystemClock(),
            "collection": "nowhere.nothing",
            "concurrency": 2,
            "config": {"topics": ["a"], "own": {"deep": 1}},
            "comment": "well said",
            "content_hash": "sha256:00",
            "conversation_id": self.conversation,
            "conversation_ids": [self.conversation],
            "created_at": NOW,
            "cursor": None,
            "cron": "0 3 * * *",
            "custom_metadata": {"topics": ["a"], "own": {"deep": 1}},
            "data": b"bytes",
            "detailed": True,
            "direction": "forward",
            "dry_run": True,
            "edited_by": "me",
            "exist_ok": True,
            "expected_cost": "0.5",
            "expected_revision": None,
            "expected_tail": None,
            "expected_tokens": 100,
            "file": str(self.home / "prices.toml"),
            "files": True,
            "fingerprint": "sha256:00",
            "from_message_id": self.message,
            "full": True,
            "given_by": "me",
            "grace": 1.0,
            "history_key": "History",
            "ignore": ["new_column"],
            "into": self.service.backups.restore_name,
            "include_hidden": True,
            "include_pinned": True,
            "include_reasoning": True,
            "include_summary": True,
            "job_id": self.job,
            "judge": True,
            "job_type": "message_processing",
            "jobs": [{"job_type": "message_processing", "config": {"own": 1}}],
            "keep_expired": True,
            "kind": "file",
            "language": "en",
            "limit": 2,
            "listeners": [],
            "loop": "search_indexer",
            "loops": False,
            "max_messages": 10,
            "message_id": self.message,
            "messages": [{"role": "user", "text": "one of many"}],
            "mime_type": "text/plain",
            "min_sequence": 1,
            "model": "gpt-4o",
            "most": 10,
            "most_suspects": 5,
            "name": "jsonl",
            "near": 0.5,
            "older_than": 1.0,
            "only": ["collection:job_schedules"],
            "order_by": "USD",
            "over": self.service.backups.restore_name,
            "parallel": 2,
            "parts": [
                {"type": "text", "text": "some text"},
                {"type": "tool_call", "id": "call_1", "name": "weather", "arguments": "{}"},
                {"type": "reasoning", "text": "thought", "signature": "s"},
                {"type": "attachment", "kind": "image", "name": "a.png", "size": 1},
                {"type": "citation", "url": "https://example.org", "start": 0, "end": 2},
                {"type": "other", "name": "new", "data": {"deep": [1]}},
            ],
            "paths": [],
            "pinned": True,
            "point_seconds": 1.0,
            "pointers": ["file-abc"],
            "policy": KeepPolicy(),
            "priority": "high",
            "progress": print_nothing,
            "prompt": {"instructions": "Be brief.", "user_name": "Ann", "author_note_depth": 1},
            "provider": "lmstudio",
            "period": "month",
            "query": "first",
            "queue": "mine",
            "queues": ["mine"],
            "random": lambda count: bytes(count),
            "rate": 1e9,
            "rating": "up",
            "reason": "a test",
            "registry": JobRegistry(),
            "removed": ["gone"],
            "repair": False,
            "replace": True,
            "reply_id": self.job,
            "report": ImportReport(),
            "request_id": "request-1",
            "role": "user",
            "restore": False,
            "seconds": 0.0,
            "session_key": "SessionId",
            "settings": self.settings,
            "share": 0.5,
            "since": NOW - timedelta(days=1),
            "source": [],
            "state": "active",
            "states": ["failed"],
            "statuses": ["active"],
            "step": 1,
            "stop": Stopped(),
            "tags": ["short"],
            "tenant_id": "default",
            "text": "some text",
            "tier": "standard",
            "time_zone": "Asia/Tokyo",
            "timeout": 0.05,
            "title": "a title",
            "to": "latest",
            "token_budget": 1_000,
            "token_count": 5,
            "token_usage": {"billing_tier": "batch", "total_cost": "0.5"},
            "tokenizer": "mine",
            "top": 5,
            "unit": "USD",
            "until": NOW,
            "usage": {"input": 12, "output": 3},
            "up_to_sequence": 1,
            "uri": self.uri,
            "user_id": USER,
            "wait": 0.05,
            "whole_tenant": True,
            "within": None,
            "words": "first",
            "work": nothing,
        }

    def arguments(self, method: str, path: tuple[str | int, ...] = ()) -> dict[str, Any]:
        """Return a valid call: what is required, and the parameter in question."""
        valid = self.valid(method)
        chosen: dict[str, Any] = {}
        for parameter in inspect.signature(self.methods[method]).parameters.values():
            name = parameter.name
            if parameter.kind is parameter.VAR_KEYWORD:
                chosen[name] = {}
                if path[:1] == (name,):
                    chosen[name] = _branch(_open(method, name), path[1:])
            elif parameter.default is parameter.empty or name in TOGETHER or path[:1] == (name,):
                chosen[name] = valid[name]
        if method == "service.connect":
            chosen |= {"uri": self.uri, "settings": self.settings} | chosen
        if method.startswith("tenant.analytics.") and path[:1] != ("conversation_id",):
            chosen.pop("conversation_id", None)
        if method == "tenant.usage.reconcile":
            chosen["file"] = str(self.home / "usage.csv")
        if method == "tenant.replies.regenerate":  # the branch it opens has no reply yet
            chosen.setdefault("message_id", self.message)
        if method == "tenant.search.find":
            chosen["whole_tenant"] = True
        return chosen

    def paths(self, method: str) -> list[tuple[str | int, ...]]:
        """Return every place of a method's call a value can be put in."""
        found: list[tuple[str | int, ...]] = []
        for parameter in inspect.signature(self.methods[method]).parameters.values():
            name = parameter.name
            if parameter.kind is parameter.VAR_KEYWORD:
                found += list(slots_within(_open(method, name), (name,)))[1:]
            else:
                found += slots_within(self.valid(method)[name], (name,))
        return found

    async def call(self, method: str, arguments: Mapping[str, Any]) -> None:
        """Call, and consume whatever comes back."""
        flat = {
            inner: value
            for name, given in arguments.items()
            for inner, value in (given.items() if name in OPEN else [(name, given)])
        }
        result = self.methods[method](**flat)
        if inspect.isawaitable(result):
            result = await result
        if isinstance(result, AsyncIterator):
            async for _ in result:
                pass
        if isinstance(result, MessageService) and result is not self.service:
            await result.close()

    async def failure(
        self, method: str, path: tuple[str | int, ...], value: Callable[[], Any]
    ) -> tuple[str, str] | None:
        """Make a call with one value replaced; return what went wrong with it, and an example."""
        given = value()
        arguments = with_value(self.arguments(method, path), path, given)
        place = f"{method}({'.'.join(map(str, path))})"
        # A loop without an await is deaf to `soon`: it has processor time, and not more.
        signal.setitimer(signal.ITIMER_VIRTUAL, BUSY)
        try:
            await soon(place, self.call(method, arguments))
        except (errors.Internal, errors.DocumentRefused) as error:
            return f"{place}: {type(error).__name__}", f"{named(given)}: {error}"
        except errors.MessageServiceError:
            return None
        except (Exception, AssertionError) as error:
            return f"{place}: {type(error).__name__}", f"{named(given)}: {str(error)[:120]}"
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        return None

    async def check(self, method: str) -> None:
        """Make sure that what was stored is whole, can be read, and can be added to."""
        messages = self.service.messages
        await self.service.conversations.patch(self.conversation, state="active")
        done = await messages.append(self.conversation, "user", f"after {method}")
        assert (await messages.check(self.conversation)).complete
        assert (await messages.get(self.conversation, done.message_id)).text == f"after {method}"
        every = ["active", "archived", "flagged", "hidden", "deleted"]
        cursor: str | None = None
        while True:
            page = await messages.history(
                self.conversation, branch="*", statuses=every, full=True, limit=500, cursor=cursor
            )
            for message in page:
                message.document()
            if (cursor := page.next) is None:
                break
        await self.service.conversations.get(self.conversation)


def _open(method: str, name: str) -> Any:
    return OPEN_OF.get(method, {}).get(name, OPEN[name])


def _branch(template: Any, path: tuple[str | int, ...]) -> Any:
    """Return the one branch of nested fields that leads to a place."""
    return {path[0]: _branch(template[path[0]], path[1:])} if path else None


def may_be_none(method: Callable[..., Any], path: tuple[str | int, ...]) -> bool:
    """Return whether None is a right value: some wait for ever with it, as they should."""
    return len(path) == 1 and "None" in str(inspect.signature(method).parameters[str(path[0])])
