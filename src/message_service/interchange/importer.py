"""Stores what the readers read: in bounded memory, resumable at any point, twice is once.

Ids are derived from the ids in the file, and each message carries its external id as idempotency
key; so an import that was killed is simply started again, and stores what is missing. A
conversation is marked when all of it is in, with a fingerprint of what was read, and is skipped as
a whole next time.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from message_service import errors
from message_service.catalogue import queries
from message_service.clock import Clock
from message_service.database.store import Change, Scope
from message_service.documents.conversation import MAIN_BRANCH, Conversation
from message_service.documents.validation import checked
from message_service.ids import IdKind, derived_id
from message_service.interchange.records import ImportedConversation, ImportedMessage
from message_service.interchange.report import ConversationReport, ImportReport
from message_service.messages.appender import Appended
from message_service.messages.conversation_state import ConversationState, ConversationStates
from message_service.messages.conversation_summary import ConversationSummaries
from message_service.messages.conversations import Conversations
from message_service.messages.incoming import check_text
from message_service.messages.messages import Messages
from message_service.stopping import StopSignal, end_tasks

Row = dict[str, Any]

_CHUNK_MESSAGES = 1_000
_CHUNK_CONVERSATIONS = 200
_CHUNKS_AT_ONCE = 6
_LONG_CONVERSATION = 1_000


@dataclass(slots=True)
class _Task:
    """One conversation on its way in."""

    source: ImportedConversation
    conversation_id: str
    fingerprint: str
    report: ConversationReport
    months: set[str] = field(default_factory=set[str])


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
        running: set[asyncio.Task[int]] = set()
        try:
            for chunk in self._chunks(name, source, report):
                if stop is not None and stop.requested:
                    report.stopped = True
                    break
                running.add(asyncio.create_task(self._store(name, chunk, report)))
                if len(running) >= _CHUNKS_AT_ONCE:
                    done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                    for task in done:
                        yield task.result()
            while running:
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    yield task.result()
        finally:
            await end_tasks(running)

    def _chunks(
        self, name: str, source: Iterable[ImportedConversation], report: ImportReport
    ) -> Iterator[list[_Task]]:
        """Group conversations so that each step of storing is one round trip for many."""
        chunk: list[_Task] = []
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
            task = _task(name, conversation)
            if conversation.unreadable:
                task.report.failed.update(item.reason for item in conversation.skipped)
                report.add(task.report)
                continue
            if task.conversation_id in seen:
                # The same conversation twice in one file: keep their order by starting a new chunk.
                yield chunk
                chunk, seen, size = [], set[str](), 0
            seen.add(task.conversation_id)
            chunk.append(task)
            size += len(conversation.messages)
            if size >= _CHUNK_MESSAGES or len(chunk) >= _CHUNK_CONVERSATIONS:
                yield chunk
                chunk, seen, size = [], set[str](), 0
        if chunk:
            yield chunk

    async def _store(self, name: str, chunk: list[_Task], report: ImportReport) -> int:
        rows = await self._scope.find(
            queries.CONVERSATIONS_BY_IDS, conversation_ids=[t.conversation_id for t in chunk]
        )
        known: dict[str, Row] = {row["conversation_id"]: row for row in rows}
        todo: list[_Task] = []
        for task in chunk:
            marked: Row = known.get(task.conversation_id, {}).get("import_source") or {}
            if marked.get("completed") and marked["fingerprint"] == task.fingerprint:
                task.report.unchanged = marked["message_count"]
            else:
                todo.append(task)
        new = [task for task in todo if task.conversation_id not in known]
        await self._create(name, new)
        report.new += len(new)
        await asyncio.gather(*(self._store_conversation(name, task) for task in todo))
        finished = [task for task in todo if not task.report.failed]
        await self._mark(finished)
        for task in chunk:
            report.add(task.report)
        return sum(len(task.source.messages) for task in chunk)

    async def _create(self, name: str, tasks: list[_Task]) -> None:
        """Insert the conversations, marked as not complete."""
        if not tasks:
            return
        now = self._clock.now()
        documents = [self._conversation(name, task, now).to_bson() for task in tasks]
        refused = await self._scope.insert_many(
            "conversations", documents, comment="conversations.import"
        )
        for refusal in refused:
            # One that exists was made by another import at the same time: that is as good.
            if not isinstance(refusal.error, errors.AlreadyExists):
                raise refusal.error
        for document in documents:
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

    def _conversation(self, name: str, task: _Task, now: datetime) -> Conversation:
        source = task.source
        began = source.created_at or next(
            (m.created_at for m in source.messages if m.created_at is not None), now
        )
        return checked(
            Conversation,
            {
                "tenant_id": self._scope.tenant_id,
                "conversation_id": task.conversation_id,
                "user_id": _user(name, source.sender),
                "character_id": (
                    None
                    if source.character is None
                    else derived_id(IdKind.CHARACTER, name, source.character)
                ),
                "title": None if source.title is None else _storable(source.title)[0][:500],
                "custom_metadata": source.custom or None,
                "created_at": began,
                "updated_at": now,
                "last_activity_at": began,
                "import_source": {
                    "format": name,
                    "external_id": source.external_id[:256],
                    "fingerprint": task.fingerprint,
                    "message_count": 0,
                    "completed": False,
                },
            },
        )

    async def _store_conversation(self, name: str, task: _Task) -> None:
        """Append a conversation's messages, branch by branch as they come."""
        source, report = task.source, task.report
        report.skipped.update(item.reason for item in source.skipped)
        forks = {branch.name: branch for branch in source.branches}
        made: set[str] = set()
        values = _Values(name, task, self._clock.now())
        for branch, run in _runs(source.messages):
            if branch in forks and branch not in made:
                await self._branch(task, forks, branch, made, values)
            batch = [values.of(message, report) for message in run]
            prepared = [one for one in batch if one is not None]
            for start in range(0, len(prepared), _LONG_CONVERSATION):
                part = prepared[start : start + _LONG_CONVERSATION]
                try:
                    outcomes = await self._messages.append_many(
                        task.conversation_id, part, backlog=True
                    )
                except errors.InvalidInput as error:
                    # Readers fit what they yield; what slips through must not stop the others.
                    report.failed[error.code] += len(part)
                    continue
                for outcome in outcomes:
                    if not isinstance(outcome, Appended):
                        report.failed[outcome.code] += 1
                    elif outcome.duplicate:
                        report.unchanged += 1
                    else:
                        report.stored += 1
            await self._delete(task, run, values)
        for branch in forks:
            if branch not in made:
                await self._branch(task, forks, branch, made, values)

    async def _delete(self, task: _Task, run: list[ImportedMessage], values: _Values) -> None:
        """Delete what the source had deleted: stored, numbered, hidden, and undeletable."""
        for message in run:
            message_id = values.kept_ancestor(message.external_id)
            if message.status == "deleted" and message_id is not None:
                await self._messages.delete(task.conversation_id, message_id)

    async def _branch(
        self, task: _Task, forks: dict[str, Any], branch: str, made: set[str], values: _Values
    ) -> None:
        """Make a branch, after those it leaves."""
        fork = forks[branch].fork
        await self._messages.branch(
            task.conversation_id,
            None if fork is None else values.kept_ancestor(fork),
            name=branch,
        )
        made.add(branch)

    async def _mark(self, tasks: list[_Task]) -> None:
        """Mark conversations as complete."""
        if not tasks:
            return
        # Complete is complete, what the list shows included: so that comes first.
        await self._summaries.flush()
        for task in tasks:
            if task.report.unchanged:
                # An import that was killed may have left it behind: get mends it.
                await self._conversations.get(task.conversation_id)
        changes = [
            Change(
                self._scope.tenant_id,
                {"conversation_id": task.conversation_id},
                {
                    "$set": {
                        "import_source.completed": True,
                        "import_source.fingerprint": task.fingerprint,
                        "import_source.message_count": (task.report.stored + task.report.unchanged),
                        "active_branch": task.source.active_branch,
                    },
                    "$addToSet": {"months": {"$each": sorted(task.months)}},
                },
            )
            for task in tasks
        ]
        await self._scope.store.update_each(queries.CONVERSATION_BY_ID, changes)
        for task in tasks:
            if task.source.active_branch != MAIN_BRANCH:
                state = await self._states.get(self._scope.tenant_id, task.conversation_id)
                await self._states.refresh(state)


class _Values:
    """Turns a reader's messages into what `append_many` takes."""

    def __init__(self, name: str, task: _Task, now: datetime) -> None:
        self._name = name
        self._task = task
        self._last = task.source.created_at or now
        self._ids: dict[str, str | None] = {}
        self._parents: dict[str, str | None] = {}

    def of(self, message: ImportedMessage, report: ConversationReport) -> Row | None:
        """Return the message's fields; None, with the reason counted, when it cannot be stored."""
        self._parents[message.external_id] = message.parent
        self._ids[message.external_id] = None
        text, repaired = _storable(message.text)
        problem = _problem(text)
        if problem is not None:
            report.failed[problem] += 1
            return None
        report.repaired += repaired
        message_id = self._message_id(message.external_id)
        self._ids[message.external_id] = message_id
        custom: Row = dict(message.custom)
        if repaired:
            custom["text_repaired"] = True
        if message.created_at is None:
            custom["created_at_inferred"] = True
        else:
            self._last = message.created_at
        self._task.months.add(self._last.strftime("%Y%m"))
        values: Row = {
            "role": message.role,
            "text": text,
            "message_id": message_id,
            "client_msg_id": _key(message.external_id),
            "user_id": _user(self._name, message.sender or self._task.source.sender),
            "branch": message.branch,
            "message_type": message.message_type,
            "status": "active" if message.status == "deleted" else message.status,
            "created_at": self._last,
            "parent_message_id": self.kept_ancestor(message.parent),
            "reply_to_message_id": self._ids.get(message.reply_to or ""),
        }
        if custom:
            values["custom_metadata"] = custom
        if message.llm_model is not None or message.llm_provider is not None:
            values["llm_metadata"] = {
                "provider": message.llm_provider,
                "model": message.llm_model,
            }
        return values

    def kept_ancestor(self, external_id: str | None) -> str | None:
        """Return the id of the nearest ancestor that is stored, itself included."""
        while external_id is not None:
            message_id = self._ids.get(external_id)
            if message_id is not None:
                return message_id
            external_id = self._parents.get(external_id)
        return None

    def _message_id(self, external_id: str) -> str:
        return derived_id(IdKind.MESSAGE, self._name, self._task.source.external_id, external_id)


def _task(name: str, source: ImportedConversation) -> _Task:
    conversation_id = derived_id(IdKind.CONVERSATION, name, source.external_id)
    running = hashlib.sha256()
    for message in source.messages:
        running.update(
            "\x1f".join(
                (
                    message.external_id,
                    message.role,
                    message.branch,
                    message.parent or "",
                    message.status,
                    message.text,
                )
            ).encode("utf-8", "surrogatepass")
        )
    return _Task(
        source=source,
        conversation_id=conversation_id,
        fingerprint=f"sha256:{running.hexdigest()}",
        report=ConversationReport(source.external_id, conversation_id),
    )


def _runs(messages: list[ImportedMessage]) -> Iterator[tuple[str, list[ImportedMessage]]]:
    """Yield stretches of messages of one branch."""
    run: list[ImportedMessage] = []
    for message in messages:
        if run and run[0].branch != message.branch:
            yield run[0].branch, run
            run = []
        run.append(message)
    if run:
        yield run[0].branch, run


def _problem(text: str) -> str | None:
    """Return why a text cannot be stored, if it cannot."""
    try:
        check_text("text", text)
    except errors.InvalidInput as error:
        return error.code if isinstance(error, errors.TextTooLong) else "empty_text"
    return None


def _storable(text: str) -> tuple[str, bool]:
    """Return the text with lone surrogates replaced, and whether there were any."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace"), True
    return text, False


def _user(name: str, sender: str | None) -> str:
    return derived_id(IdKind.USER, name, sender or "unknown")


def _key(external_id: str) -> str:
    if len(external_id) <= 256:
        return external_id
    return "sha256:" + hashlib.sha256(external_id.encode("utf-8", "surrogatepass")).hexdigest()
