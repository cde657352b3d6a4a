"""A chat that grows, exported at random moments and imported in any order, ends like one import.

Meanwhile people write to it here, and imports are interrupted.
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from message_service import MessageService, Tenant
from message_service.ids import IdKind, derived_id
from message_service.interchange.report import ImportReport
from support.chat_exports import Chat, write

CONVERSATION = derived_id(IdKind.CONVERSATION, "chatgpt", "c-grow")

patient = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

growth = st.lists(
    st.one_of(
        st.tuples(st.just("say"), st.integers(0, 15)),
        st.tuples(st.just("go on"), st.just(0)),
        st.tuples(st.just("show"), st.integers(0, 15)),
        st.tuples(st.just("rename"), st.integers(0, 3)),
        st.tuples(st.just("rewrite"), st.integers(0, 15)),
        st.tuples(st.just("hide"), st.integers(0, 15)),
        st.tuples(st.just("attach"), st.integers(0, 15)),
    ),
    min_size=1,
    max_size=15,
)
imports = st.lists(
    st.one_of(
        st.tuples(st.just("import"), st.integers(0, 15)),
        st.tuples(st.just("interrupted"), st.integers(0, 15), st.integers(0, 60)),
        st.tuples(st.just("write here"), st.just(0)),
    ),
    min_size=1,
    max_size=8,
)


def grow(steps: list[tuple[str, int]]) -> list[dict[str, Any]]:
    """Carry out the growth; return an export after each step, oldest first."""
    chat = Chat()
    chat.say("root", "question")
    exports: list[dict[str, Any]] = []
    for what, number in steps:
        names = list(chat.nodes)
        name = names[number % len(names)]
        if what == "say":
            chat.say(name, f"text {len(names)}")
        elif what == "go on":
            chat.say(chat.current, f"text {len(names)}")
        elif what == "show" and name != "root":
            chat.moment += 1
            chat.current = name
        elif what == "rename":
            chat.moment += 1
            chat.title = f"title {number}"
        elif what == "hide" and name != "root":
            chat.moment += 1
            message = chat.nodes[name]["message"]
            message["weight"] = 1.0 - message["weight"]
        elif what == "attach" and name != "root":
            chat.moment += 1
            files = chat.nodes[name]["message"]["metadata"].setdefault("attachments", [])
            files.append({"id": f"f{len(files)}", "name": f"at {chat.moment}.png"})
        elif what == "rewrite" and name != "root":
            chat.rewrite(name, f"text rewritten at {chat.moment}")
        exports.append(chat.snapshot())
    return exports


@dataclass
class Written:
    """What was written here, and what stood before it then."""

    message_id: str
    branch: str
    number: int
    before: list[str]


async def line(tenant: Tenant, branch: str, up_to: int | None = None) -> list[tuple[str, str]]:
    page = await tenant.messages.history(
        CONVERSATION, branch=branch, limit=1_000, before=up_to, statuses=("active", "hidden")
    )
    return [(message.message_id, message.text) for message in page]


async def bring(tenant: Tenant, path: Path) -> ImportReport:
    report = ImportReport()
    async for _ in tenant.transfer.import_files("chatgpt", [path], report):
        pass
    return report


async def state(tenant: Tenant, *, written_here: bool) -> dict[str, Any]:
    """What a reader sees of the imported part, apart from numbers and names of branches."""
    conversation = await tenant.conversations.get(CONVERSATION)
    everything = await tenant.messages.history(
        CONVERSATION, branch="*", limit=1_000, full=True, statuses=("active", "hidden")
    )
    lines = {
        message.message_id: await line(tenant, message.branch, message.sequence_number + 1)
        for message in everything
        if not message.text.startswith("here")
    }
    shown = await line(tenant, conversation.active_branch)
    return {
        "title": conversation.title,
        "lines": lines,
        "told": {
            message.message_id: (message.status, message.parts)
            for message in everything
            if not message.text.startswith("here")
        },
        "shown": [one for one in shown if not one[1].startswith("here")],
        "custom": conversation.custom_metadata,
        "months": set(conversation.months or ()) - {f"{datetime.now(UTC):%Y%m}"},
        "last": None if written_here else conversation.last_message,
    }


@patient
@given(steps=growth, order=imports)
async def test_any_order_and_number_of_imports_ends_like_one_of_the_newest(
    service: MessageService, tmp_path: Path, steps: list[tuple[str, int]], order: list[Any]
) -> None:
    exports = grow(steps)
    paths = [write(tmp_path / f"{n}.json", export) for n, export in enumerate(exports)]
    tenant, fresh = (service.tenant(f"{name}{secrets.token_hex(8)}") for name in ("t", "f"))
    here: list[Written] = []
    imported = newest = False
    for action in order:
        if action[0] == "import":
            report = await bring(tenant, paths[action[1] % len(paths)])
            assert report.complete, report.as_json()
            imported = True
            newest = newest or action[1] % len(paths) == len(paths) - 1
        elif action[0] == "interrupted":
            task = asyncio.create_task(bring(tenant, paths[action[1] % len(paths)]))
            for _ in range(action[2]):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
            await service.drain()
        elif imported:
            conversation = await tenant.conversations.get(CONVERSATION)
            before = [one for one, _ in await line(tenant, conversation.active_branch)]
            done = await tenant.messages.append(CONVERSATION, "user", f"here {len(here)}")
            here.append(Written(done.message_id, done.branch, done.sequence_number, before))
    if not newest:
        report = await bring(tenant, paths[-1])
        assert report.complete, report.as_json()
    assert (await bring(fresh, paths[-1])).complete

    assert await state(tenant, written_here=bool(here)) == await state(
        fresh, written_here=bool(here)
    )
    check = await tenant.messages.check(CONVERSATION)
    assert check.consistent, check
    for written in here:
        before = await line(tenant, written.branch, written.number)
        assert [one for one, _ in before] == written.before
