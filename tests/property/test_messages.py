"""Random histories against a model: numbers, idempotency, branches, pages, export and import."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from message_service import Appended, MessageService, Tenant, errors
from message_service.interchange.report import ImportReport
from support.waiting import soon

USER = "user_000000000001"

# Each example has a conversation (or tenants) of its own, so sharing the service is sound.
patient = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

texts = st.text(alphabet=st.characters(exclude_categories=("Cs",)), min_size=1, max_size=80)


@dataclass
class Model:
    """What the conversation should hold: (text, branch, visible) by number from 1."""

    texts: list[str] = field(default_factory=list[str])
    branches_of: list[str] = field(default_factory=list[str])
    deleted: set[int] = field(default_factory=set[int])
    forks: dict[str, tuple[str, int]] = field(default_factory=dict[str, tuple[str, int]])
    keys: dict[str, tuple[int, str]] = field(default_factory=dict[str, tuple[int, str]])

    def shown(self, branch: str) -> list[str]:
        spans: dict[str, int] = {}
        up_to = len(self.texts)
        while branch != "main":
            spans[branch] = up_to
            parent, fork = self.forks[branch]
            branch, up_to = parent, min(up_to, fork)
        spans["main"] = up_to
        return [
            text
            for number, (text, lies_on) in enumerate(
                zip(self.texts, self.branches_of, strict=True), start=1
            )
            if number not in self.deleted and number <= spans.get(lies_on, 0)
        ]


operations = st.lists(
    st.one_of(
        st.tuples(st.just("append"), texts),
        st.tuples(st.just("keyed"), st.sampled_from("abc"), st.sampled_from(["one", "two"])),
        st.tuples(st.just("many"), st.lists(texts, min_size=1, max_size=5)),
        st.tuples(st.just("delete"), st.integers(0, 50)),
        st.tuples(st.just("undelete"), st.integers(0, 50)),
        st.tuples(st.just("edit"), st.integers(0, 50), texts),
        st.tuples(st.just("branch"), st.integers(0, 50)),
    ),
    min_size=1,
    max_size=20,
)


class Run:
    """Carries operations out, on the service and on the model."""

    def __init__(self, tenant: Tenant, conversation: str) -> None:
        self.messages = tenant.messages
        self.conversation = conversation
        self.model = Model()
        self.ids: list[str] = []
        self.branch = "main"

    async def do(self, operation: tuple[Any, ...]) -> None:
        match operation:
            case ("append", text):
                done = await self.messages.append(
                    self.conversation, "user", text, branch=self.branch
                )
                self._note(done.message_id, text)
                assert done.sequence_number == len(self.ids)
            case ("many", several):
                results = await self.messages.append_many(
                    self.conversation,
                    [{"role": "user", "text": t, "branch": self.branch} for t in several],
                )
                for text, result in zip(several, results, strict=True):
                    assert isinstance(result, Appended)
                    self._note(result.message_id, text)
            case ("keyed", key, text):
                await self._keyed(key, text)
            case ("branch", place) if self.ids:
                self.branch = f"b{len(self.model.forks)}"
                number = place % len(self.ids) + 1
                made = await self.messages.branch(
                    self.conversation, self.ids[number - 1], name=self.branch
                )
                self.model.forks[self.branch] = (
                    self.model.branches_of[number - 1],
                    number,
                )
                assert (made.parent, made.fork_sequence) == self.model.forks[self.branch]
            case (("delete" | "undelete") as name, place) if self.ids:
                number = place % len(self.ids) + 1
                await getattr(self.messages, name)(self.conversation, self.ids[number - 1])
                (self.model.deleted.add if name == "delete" else self.model.deleted.discard)(number)
            case ("edit", place, text) if self.ids:
                number = place % len(self.ids) + 1
                change = self.messages.edit(self.conversation, self.ids[number - 1], text)
                if number in self.model.deleted:
                    with pytest.raises(errors.Conflict):
                        await change
                else:
                    await change
                    self.model.texts[number - 1] = text
            case _:
                pass  # nothing there yet to change

    async def _keyed(self, key: str, text: str) -> None:
        known = self.model.keys.get(key)
        call = self.messages.append(self.conversation, "user", text, client_msg_id=key)
        if known is not None and known[1] != text:
            with pytest.raises(errors.IdempotencyConflict):
                await call
            return
        done = await call
        assert done.duplicate == (known is not None)
        if known is None:
            self.model.keys[key] = (done.sequence_number, text)
            self._note(done.message_id, text, "main")
        else:
            assert done.sequence_number == known[0]

    def _note(self, message_id: str, text: str, branch: str | None = None) -> None:
        self.ids.append(message_id)
        self.model.texts.append(text)
        self.model.branches_of.append(branch or self.branch)


async def pages(
    tenant: Tenant, conversation: str, size: int, **options: Any
) -> list[tuple[int, str]]:
    seen: list[tuple[int, str]] = []
    cursor: str | None = None
    while True:
        page = await tenant.messages.history(conversation, limit=size, cursor=cursor, **options)
        seen += [(message.sequence_number, message.text) for message in page]
        cursor = page.next
        if cursor is None:
            return seen


@patient
@given(steps=operations, size=st.integers(1, 7))
async def test_any_history_is_as_the_model_says(
    service: MessageService, steps: list[tuple[Any, ...]], size: int
) -> None:
    tenant = service.tenant("default")
    conversation = (await tenant.conversations.create(USER)).conversation_id
    run = Run(tenant, conversation)
    for step in steps:
        await run.do(step)
    proof = await tenant.messages.check(conversation)
    assert (proof.complete, proof.last) == (True, len(run.ids))
    for branch in ("main", *run.model.forks):
        forward = await pages(tenant, conversation, size, branch=branch)
        assert [text for _, text in forward] == run.model.shown(branch)
        backward = await pages(tenant, conversation, size, branch=branch, direction="backward")
        assert backward == forward[::-1]


@patient
@given(writers=st.integers(1, 4), each=st.integers(1, 12), size=st.integers(1, 9))
async def test_pages_lose_nothing_while_others_write(
    service: MessageService, writers: int, each: int, size: int
) -> None:
    tenant = service.tenant("default")
    conversation = (await tenant.conversations.create(USER)).conversation_id
    await tenant.messages.append_many(
        conversation, [{"role": "user", "text": str(n)} for n in range(20)]
    )

    async def write() -> None:
        for n in range(each):
            await tenant.messages.append(conversation, "assistant", f"new {n}")

    async def follow() -> list[int]:
        seen: list[int] = []
        cursor: str | None = None
        while len(seen) < 20 + writers * each:
            page = await tenant.messages.history(conversation, limit=size, cursor=cursor)
            seen += [message.sequence_number for message in page]
            cursor = page.resume
        return seen

    together = asyncio.gather(follow(), *(write() for _ in range(writers)))
    seen, *_ = await soon("the pages under writes", together)
    assert seen == list(range(1, 21 + writers * each))


@patient
@given(steps=operations)
async def test_export_and_import_give_the_same_bytes(
    service: MessageService, steps: list[tuple[Any, ...]], tmp_path_factory: Any
) -> None:
    folder: Path = tmp_path_factory.mktemp("export")
    source = service.tenant(folder.name.lower().replace("_", "-"))
    target = service.tenant(source.tenant_id + "-copy")
    conversation = (await source.conversations.create(USER)).conversation_id
    run = Run(source, conversation)
    for step in steps:
        await run.do(step)
    await source.conversations.get(conversation)
    text = "".join([line async for line in source.transfer.export_lines()])
    path = folder / "export.jsonl"
    path.write_bytes(text.encode())
    for repeated in (False, True):
        report = ImportReport()
        async for _ in target.transfer.import_files("jsonl", [path], report):
            pass
        assert report.complete, report
        assert (report.unchanged if repeated else report.stored) == len(run.ids)
        assert "".join([line async for line in target.transfer.export_lines()]) == text


@patient
@given(where=st.floats(0, 1), byte=st.integers(0, 255), cut=st.booleans())
async def test_a_damaged_export_stores_nothing_false(
    service: MessageService, where: float, byte: int, cut: bool, tmp_path_factory: Any
) -> None:
    folder: Path = tmp_path_factory.mktemp("damage")
    name = folder.name.lower().replace("_", "-")
    source, target = service.tenant(name), service.tenant(name + "-copy")
    conversation = (await source.conversations.create(USER)).conversation_id
    await source.messages.append_many(
        conversation, [{"role": "user", "text": f"text {n}"} for n in range(5)]
    )
    await source.conversations.get(conversation)
    raw = "".join([line async for line in source.transfer.export_lines()]).encode()
    place = int(where * (len(raw) - 1))
    damaged = raw[:place] if cut else raw[:place] + bytes([byte]) + raw[place + 1 :]
    path = folder / "export.jsonl"
    path.write_bytes(damaged)
    report = ImportReport()
    async for _ in target.transfer.import_files("jsonl", [path], report):
        pass
    if damaged != raw and not report.complete:
        assert report.error is not None or report.failed
    rows = (
        await service.store.collection("messages")
        .find({"conversation_id": conversation, "tenant_id": target.tenant_id})
        .to_list()
    )
    for row in rows:
        assert row["content"]["text"] in {f"text {n}" for n in range(5)}
    if cut and place < len(raw) - 1:  # the last line's end is no loss
        assert not report.complete
