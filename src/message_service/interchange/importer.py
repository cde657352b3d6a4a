"""Stores what the readers read: in bounded memory, resumable at any point, twice is once.

Ids are derived from the ids in the file; so an import that was killed is simply started again, and
stores what is missing. A conversation is marked when all of it is in, with a fingerprint of what
was read, and is skipped as a whole next time. An import is a merge: `merging` decides where
messages go, here that is carried out, against whoever else writes to the conversation meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from datetime import datetime

from message_service import errors
from message_service.arguments import check_instance, check_text_argument
from message_service.catalogue import queries
from message_service.clock import Clock
from message_service.database.store import Change, Scope
from message_service.documents.conversation import MAIN_BRANCH, Conversation
from message_service.documents.validation import checked
from message_service.ids import IdKind, derived_id
from message_service.interchange.intake import Intake, Row, intake, storable, user
from message_service.interchange.merging import Layout, Stretch, plan
from message_service.interchange.records import ImportedConversation
from message_service.interchange.report import ImportReport
from message_service.interchange.revisions import Revisions
from message_service.messages.appender import Appended
from message_service.messages.changes import MessageChanges
from message_service.messages.conversation_state import ConversationState, ConversationStates
from message_service.messages.conversation_summary import ConversationSummaries, glance
from message_service.messages.conversations import Conversations
from message_service.messages.messages import Messages
from message_service.stopping import StopSignal, end_tasks

_CHUNK_MESSAGES = 1_000
_CHUNK_CONVERSATIONS = 200
_CHUNKS_AT_ONCE = 6
_LONG_CONVERSATION = 1_000
_PATIENCE = 3
"""Attempts to go on where somebody else keeps writing, before branches of our own are opened."""


class Importer:
    """Imports conversations read by a format's reader into one tenant.

    Args:
        scope: The tenant's scope.
        states: What is remembered of conversations.
        conversations: The tenant's conversations.
        messages: The tenant's messages.
        summaries: Keeps what conversations show of their messages.
        clock: The present moment.
    """

    def __init__(
        self,
        scope: Scope,
        states: ConversationStates,
        conversations: Conversations,
        messages: Messages,
        summaries: ConversationSummaries,
        clock: Clock,
    ) -> None:
        self._scope = scope
        self._states = states
        self._conversations = conversations
        self._summaries = summaries
        self._messages = messages
        self._revisions = Revisions(MessageChanges(scope, clock))
        self._clock = clock

    async def run(
        self,
        name: str,
        source: Iterable[ImportedConversation],
        report: ImportReport,
        stop: StopSignal | None = None,
    ) -> AsyncIterator[int]:
        """Import everything a reader yields; yields the number of messages done, as it goes.

        Args:
            name: The format's name; part of every derived id.
            source: The reader's conversations.
            report: Filled in. When the reader stops at a damaged place, `error` says so and what
                came before is stored.
            stop: Asks to stop: what was read is stored, and `report.stopped` says so.

        Raises:
            Unavailable: The database went away for longer than the write deadline.
        """
        check_text_argument("name", name, most=64)
        if isinstance(source, (str, bytes)) or not isinstance(source, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise errors.InvalidInput("source", "yields no conversations", "Give a reader's")
        running: dict[asyncio.Task[int], set[str]] = {}
        try:
            for chunk in self._chunks(name, source, report):
                if stop is not None and stop.requested:
                    report.stopped = True
                    break
                ids = {one.conversation_id for one in chunk}
                # A conversation that is twice in the files is imported in their order.
                while len(running) >= _CHUNKS_AT_ONCE or any(
                    not ids.isdisjoint(others) for others in running.values()
                ):
                    for task in await _first_done(running):
                        yield task.result()
                running[asyncio.create_task(self._store(chunk, report))] = ids
            while running:
                for task in await _first_done(running):
                    yield task.result()
        finally:
            await end_tasks(running)

    def _chunks(
        self, name: str, source: Iterable[ImportedConversation], report: ImportReport
    ) -> Iterator[list[Intake]]:
        """Group conversations so that each step of storing is one round trip for many."""
        chunk: list[Intake] = []
        seen: set[str] = set()
        size = 0
        reader = iter(source)
        while True:
            try:
                conversation = next(reader, None)
            except errors.InvalidImport as error:
                report.error = error.message
                conversation = None
            if conversation is None:
                break
            check_instance("source", conversation, ImportedConversation)
            one = intake(name, conversation)
            if conversation.unreadable:
                one.report.failed.update(item.reason for item in conversation.skipped)
                report.add(one.report)
                continue
            if not conversation.messages:
                one.report.skipped.update(item.reason for item in conversation.skipped)
                report.add(one.report)
                continue
            if one.conversation_id in seen:
                yield chunk
                chunk, seen, size = [], set[str](), 0
            seen.add(one.conversation_id)
            chunk.append(one)
            size += len(conversation.messages)
            if size >= _CHUNK_MESSAGES or len(chunk) >= _CHUNK_CONVERSATIONS:
                yield chunk
                chunk, seen, size = [], set[str](), 0
        if chunk:
            yield chunk

    async def _store(self, chunk: list[Intake], report: ImportReport) -> int:
        rows = await self._scope.find(
            queries.CONVERSATIONS_BY_IDS, conversation_ids=[one.conversation_id for one in chunk]
        )
        known: dict[str, Row] = {row["conversation_id"]: row for row in rows}
        todo: list[Intake] = []
        for one in chunk:
            marked = _marked(known.get(one.conversation_id))
            if marked.get("completed") and marked["fingerprint"] == one.fingerprint:
                one.report.unchanged = marked["message_count"]
            else:
                todo.append(one)
        new = [one for one in todo if one.conversation_id not in known]
        created = await self._create(new)
        report.new += len(created)
        merged = [one for one in todo if one.conversation_id not in created]
        shown = await asyncio.gather(
            *(
                self._append(
                    one, _marked(known.get(one.conversation_id)), one.conversation_id in created
                )
                for one in todo
            )
        )
        # Complete is complete, what the list shows included: so that comes first.
        await self._summaries.flush()
        branches = {
            one.conversation_id: branch for one, branch in zip(todo, shown, strict=True) if branch
        }
        await asyncio.gather(*(self._merge(one, branches) for one in merged))
        await self._mark([one for one in todo if one.conversation_id in created], branches)
        for one in chunk:
            report.add(one.report)
        return sum(len(one.source.messages) for one in chunk)

    async def _create(self, new: list[Intake]) -> set[str]:
        """Insert the conversations, marked as not complete; return which were not there."""
        if not new:
            return set()
        now = self._clock.now()
        documents = [self._conversation(one, now).to_bson() for one in new]
        refused = await self._scope.insert_many(
            "conversations", documents, comment="conversations.import"
        )
        for refusal in refused:
            # One that exists was made by another import at the same time: it is merged with that.
            if not isinstance(refusal.error, errors.AlreadyExists):
                raise refusal.error
        there = {refusal.position for refusal in refused}
        created = [row for place, row in enumerate(documents) if place not in there]
        for document in created:
            self._states.remember(
                ConversationState(
                    tenant_id=self._scope.tenant_id,
                    conversation_id=document["conversation_id"],
                    user_id=document["user_id"],
                    character_id=document.get("character_id"),
                    archived=False,
                    active_branch=document["active_branch"],
                    tail=0,
                    read_at=asyncio.get_running_loop().time(),
                )
            )
        return {document["conversation_id"] for document in created}

    def _conversation(self, one: Intake, now: datetime) -> Conversation:
        source = one.source
        began = source.created_at or next(
            (m.created_at for m in source.messages if m.created_at is not None), now
        )
        return checked(
            Conversation,
            {
                "tenant_id": self._scope.tenant_id,
                "conversation_id": one.conversation_id,
                "user_id": user(one.format, source.sender),
                "character_id": (
                    None
                    if source.character is None
                    else derived_id(IdKind.CHARACTER, one.format, source.character)
                ),
                "title": _title(source),
                "custom_metadata": source.custom or None,
                "created_at": began,
                "updated_at": now,
                "last_activity_at": began,
                "import_source": {**_mark_of(one, completed=False), "message_count": 0},
            },
        )

    async def _append(self, one: Intake, marked: Row, fresh: bool) -> str | None:
        """Append what is missing; return the branch that shows what the source shows.

        Args:
            one: The conversation.
            marked: What the conversation says of the last import; empty when it is not known.
            fresh: Whether it was made just now, so that there is nothing to read.
        """
        one.prepare(self._clock.now())
        layout, stored = (Layout(), {}) if fresh else await self._read(one.conversation_id)
        there = set(layout.branch_of)
        attempts = 0
        while True:
            apart = attempts > _PATIENCE
            decided = plan(one.nodes, layout, one.shown, apart=apart)
            names = await self._carry_out(
                one, decided.stretches, None if apart else layout.tail, apart=apart
            )
            if names is not None:
                break
            # Somebody wrote meanwhile, or a message was refused: see what there is, and go on.
            layout, _ = await self._read(one.conversation_id)
            attempts += 1
        age = one.age(marked) if marked else 0
        await self._revisions.apply(one, stored, age)
        for message_id in one.deleted:
            if age >= 0 and stored.get(message_id, {}).get("status") != "deleted":
                await self._messages.delete(one.conversation_id, message_id)
        one.report.unchanged += sum(node.message_id in there for node in one.nodes)
        one.report.unchanged -= one.report.updated + one.report.failed["idempotency_conflict"]
        return None if decided.shown is None else names.get(decided.shown, decided.shown)

    async def _read(self, conversation_id: str) -> tuple[Layout, dict[str, Row]]:
        """Read where the messages of a conversation lie."""
        layout = Layout()
        branches = await self._scope.find(queries.BRANCHES, conversation_id=conversation_id)
        layout.ends |= {row["branch"]: row.get("fork_message_id") for row in branches}
        rows: dict[str, Row] = {}
        async for row in self._scope.stream(
            queries.CONVERSATION_LAYOUT, batch=2_000, conversation_id=conversation_id
        ):
            layout.tail = row["sequence_number"]
            if row["message_type"] == "tombstone":
                continue
            branch = row["relationships"]["conversation_branch"]
            layout.branch_of[row["message_id"]] = branch
            layout.ends[branch] = row["message_id"]
            rows[row["message_id"]] = row
        return layout, rows

    async def _carry_out(
        self, one: Intake, stretches: Sequence[Stretch], tail: int | None, *, apart: bool
    ) -> dict[str, str] | None:
        """Append the stretches; return the names that branches got, None when one was prevented.

        Args:
            one: The conversation.
            stretches: What to append.
            tail: The number they were planned after: nothing may have come behind it.
            apart: Whether branches get names nobody else can have thought of.
        """
        names: dict[str, str] = {}
        for stretch in stretches:
            if stretch.opens:
                try:
                    made = await self._messages.branch(
                        one.conversation_id, stretch.fork, name=None if apart else stretch.branch
                    )
                except errors.AlreadyExists:
                    return None
                names[stretch.branch] = made.name
            branch = names.get(stretch.branch, stretch.branch)
            for start in range(0, len(stretch.message_ids), _LONG_CONVERSATION):
                part = stretch.message_ids[start : start + _LONG_CONVERSATION]
                if not await self._append_part(one, part, branch, tail):
                    return None
                if tail is not None:
                    tail += len(part)
        return names

    async def _append_part(
        self, one: Intake, part: Sequence[str], branch: str, tail: int | None
    ) -> bool:
        """Append messages of one branch; return whether all of them went where they should."""
        values = [{**one.values[message_id], "branch": branch} for message_id in part]
        try:
            outcomes = await self._messages.append_many(
                one.conversation_id, values, backlog=True, expected_tail=tail
            )
        except errors.InvalidInput as error:
            # Readers fit what they yield; what slips through must not stop the others.
            place = error.field.split(".")[1]
            one.report.failed[error.code] += 1
            one.drop(part[int(place)])
            return False
        in_place = True
        for message_id, outcome in zip(part, outcomes, strict=True):
            if isinstance(outcome, Appended):
                one.report.stored += not outcome.duplicate
                one.report.unchanged += outcome.duplicate
            elif isinstance(outcome, errors.VersionConflict):
                in_place = False
            else:
                one.report.failed[outcome.code] += 1
                one.drop(message_id)
                in_place = False
        return in_place

    async def _merge(self, one: Intake, branches: dict[str, str]) -> None:
        """Let a conversation that was there follow a source that is newer, and mark it."""
        while True:
            stored = await self._conversations.get(one.conversation_id)
            marked = {} if stored.import_source is None else stored.import_source.model_dump()
            if marked.get("completed") and one.age(marked) < 0:
                return
            custom = dict(stored.custom_metadata or {})
            for name in marked.get("custom_fields") or ():
                custom.pop(name, None)
            custom |= one.source.custom
            wanted: Row = {
                "title": _title(one.source) or stored.title,
                "custom_metadata": custom or None,
                "active_branch": branches.get(one.conversation_id, stored.active_branch),
            }
            changed = {
                name: wanted[name] for name in wanted if wanted[name] != getattr(stored, name)
            }
            if not changed:
                break
            try:
                await self._conversations.patch(
                    one.conversation_id, expected_revision=stored.revision, **changed
                )
            except errors.VersionConflict:
                continue
            break
        await self._mark([one], {})

    async def _mark(self, done: list[Intake], branches: dict[str, str]) -> None:
        """Mark conversations as complete, those with failures as not."""
        if not done:
            return
        changes: list[Change] = []
        for one in done:
            values: Row = {"import_source": _mark_of(one, completed=not one.report.failed)}
            if one.shown is not None and not one.report.failed["idempotency_conflict"]:
                last = one.values[one.shown]
                values |= glance(one.shown, last["role"], last["text"], last["created_at"])
            changes.append(
                Change(
                    self._scope.tenant_id,
                    {"conversation_id": one.conversation_id},
                    {
                        "$set": values,
                        "$addToSet": {"months": {"$each": sorted(one.months)}},
                    },
                )
            )
        await self._scope.store.update_each(queries.CONVERSATION_BY_ID, changes)
        for one in done:
            branch = branches.get(one.conversation_id, MAIN_BRANCH)
            if branch != MAIN_BRANCH:
                await self._conversations.patch(one.conversation_id, active_branch=branch)


async def _first_done(running: dict[asyncio.Task[int], set[str]]) -> set[asyncio.Task[int]]:
    done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        del running[task]
    return done


def _marked(conversation: Row | None) -> Row:
    return (conversation or {}).get("import_source") or {}


def _mark_of(one: Intake, *, completed: bool) -> Row:
    mark: Row = {
        "format": one.format,
        "external_id": one.source.external_id[:256],
        "fingerprint": one.fingerprint,
        "message_count": len(one.source.messages),
        "as_of": one.as_of,
        "completed": completed,
    }
    if one.source.custom:
        mark["custom_fields"] = sorted(one.source.custom)
    return mark


def _title(source: ImportedConversation) -> str | None:
    return None if source.title is None else storable(source.title)[0][:500]
