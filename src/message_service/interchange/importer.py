"""Stores the conversations that readers yield.

Memory use is bounded, and imports are idempotent. Ids are derived from the ids in the file, so an
interrupted import is simply started again and stores only the missing messages. A conversation is
marked when it is complete, with a fingerprint of the source, and the next import skips it while
the fingerprint is the same. An import is a merge: `merging` decides where messages go, and `merger`
appends them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence

from message_service import errors
from message_service.arguments import check_text_argument
from message_service.catalogue.queries.conversations import (
    CONVERSATION_AT_MARK,
    CONVERSATIONS_BY_IDS,
)
from message_service.database.scope import Scope
from message_service.documents.conversation import MAIN_BRANCH
from message_service.documents.row import Row
from message_service.interchange.chunks import chunks
from message_service.interchange.file_keeping import FileKeeper
from message_service.interchange.intake import Intake, preview
from message_service.interchange.marking import mark_of, marked, new_conversation, title_of
from message_service.interchange.merger import Merger
from message_service.interchange.reading.records import ImportedConversation
from message_service.interchange.report import ImportReport
from message_service.messages.conversation_summary import glance
from message_service.messages.conversations import Conversations
from message_service.messages.known_conversations import KnownConversation
from message_service.messages.messages import Messages
from message_service.messages.runtime import Runtime
from message_service.stopping import StopSignal, end_tasks

_CHUNKS_AT_ONCE = 6


class Importer:
    """Imports conversations read by a format's reader into one tenant.

    Args:
        runtime: The objects shared within the process.
        scope: The tenant's scope.
    """

    def __init__(self, runtime: Runtime, scope: Scope) -> None:
        self._scope = scope
        self._known = runtime.known
        self._conversations = Conversations(runtime, scope)
        self._summaries = runtime.summaries
        self._merger = Merger(scope, Messages(runtime, scope), runtime.clock)
        self._clock = runtime.clock
        self._attachments = runtime.attachments(scope)

    async def run(
        self,
        name: str,
        source: Iterable[ImportedConversation],
        report: ImportReport,
        stop: StopSignal | None = None,
        *,
        dry_run: bool = False,
    ) -> AsyncIterator[int]:
        """Import all conversations of a reader; yield the number of messages done in each step.

        Args:
            name: The format's name; part of every derived id.
            source: The reader's conversations.
            report: Filled in during the import. When the reader stops at a damaged place, `error`
                names it, and the conversations before it are stored.
            stop: Asks to stop: the conversations read so far are stored, and `report.stopped` is
                set.
            dry_run: Only count what an import would do; nothing is written. A conversation that
                occurs twice in the files is counted as if it occurred once each time.

        Raises:
            Unavailable: The database was unavailable for longer than the write deadline.
        """
        check_text_argument("name", name, most=64)
        if isinstance(source, (str, bytes)) or not isinstance(source, Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise errors.InvalidInput(
                "source", "is not an iterable of conversations", "Give a reader's conversations"
            )
        keeper = FileKeeper(self._attachments, report, dry_run=dry_run)
        running: dict[asyncio.Task[int], set[str]] = {}
        try:
            for chunk in chunks(name, source, report):
                if stop is not None and stop.requested:
                    report.stopped = True
                    break
                ids = {intake.conversation_id for intake in chunk}
                # A conversation that occurs twice in the files must be imported in file order.
                while len(running) >= _CHUNKS_AT_ONCE or any(
                    not ids.isdisjoint(others) for others in running.values()
                ):
                    for task in await _first_done(running):
                        yield task.result()
                # Before the messages, so that none of them points to nowhere.
                for intake in chunk:
                    await keeper.keep_inside(intake.source)
                work = self._preview(chunk, report) if dry_run else self._store(chunk, report)
                running[asyncio.create_task(work)] = ids
            while running:
                for task in await _first_done(running):
                    yield task.result()
        finally:
            await end_tasks(running)

    async def _preview(self, chunk: list[Intake], report: ImportReport) -> int:
        """Count what `_store` would do."""
        known, todo = await self._unfinished(chunk)
        for intake in todo:
            mark = marked(known.get(intake.conversation_id))
            fresh = intake.conversation_id not in known
            report.new += fresh
            await self._merger.preview(intake, mark, fresh=fresh)
            intake.close_account()
        for intake in chunk:
            report.add(intake.report)
        return sum(len(intake.source.messages) for intake in chunk)

    async def _unfinished(self, chunk: list[Intake]) -> tuple[dict[str, Row], list[Intake]]:
        """Return the stored conversations of a chunk, and what is to be imported.

        The others were imported completely from the same source; they are counted here.
        """
        rows = await self._scope.find(
            CONVERSATIONS_BY_IDS, conversation_ids=[intake.conversation_id for intake in chunk]
        )
        known: dict[str, Row] = {row["conversation_id"]: row for row in rows}
        todo: list[Intake] = []
        for intake in chunk:
            mark = marked(known.get(intake.conversation_id))
            if mark.get("completed") and mark["fingerprint"] == intake.fingerprint:
                intake.report.unchanged = len(intake.source.messages)
                intake.report.skipped.update(item.reason for item in intake.source.skipped)
            else:
                todo.append(intake)
        return known, todo

    async def _store(self, chunk: list[Intake], report: ImportReport) -> int:
        known, todo = await self._unfinished(chunk)
        new = [intake for intake in todo if intake.conversation_id not in known]
        created = await self._create(new)
        report.new += len(created)
        shown = await asyncio.gather(
            *(
                self._merger.append(
                    intake,
                    marked(known.get(intake.conversation_id)),
                    fresh=intake.conversation_id in created,
                )
                for intake in todo
            )
        )
        for intake in todo:
            intake.close_account()
        # A complete conversation includes its summary for lists, so the summaries are written
        # before the conversation is marked as complete.
        await self._summaries.flush()
        branches = {
            intake.conversation_id: branch
            for intake, branch in zip(todo, shown, strict=True)
            if branch
        }
        straight: list[Intake] = []
        merged: list[Intake] = []
        for intake in todo:
            on_main = branches.get(intake.conversation_id, MAIN_BRANCH) == MAIN_BRANCH
            (straight if on_main and intake.conversation_id in created else merged).append(intake)
        begun = [(intake, 1, mark_of(intake, completed=False)) for intake in straight]
        if not await self._mark(begun):
            merged = todo  # others imported one of them at the same time
        await asyncio.gather(*(self._merge(intake, branches) for intake in merged))
        for intake in chunk:
            report.add(intake.report)
        return sum(len(intake.source.messages) for intake in chunk)

    async def _create(self, new: list[Intake]) -> set[str]:
        """Insert conversations, marked as incomplete; return the ids of those that are new."""
        if not new:
            return set()
        now = self._clock.now()
        documents = [
            new_conversation(self._scope.tenant_id, intake, now).to_bson() for intake in new
        ]
        refused = await self._scope.insert_many(
            "conversations", documents, comment="conversations.import"
        )
        for refusal in refused:
            # Another import created this conversation at the same time: merge into it.
            if not isinstance(refusal.error, errors.AlreadyExists):
                raise refusal.error
        there = {refusal.position for refusal in refused}
        created = [row for place, row in enumerate(documents) if place not in there]
        for document in created:
            self._known.remember(
                KnownConversation(
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

    async def _merge(self, intake: Intake, branches: dict[str, str]) -> None:
        """Update a conversation from its source and mark it, unless that is older than its mark.

        What another import changed since the conversation was read is not overwritten: then both
        the change and the mark are decided again.
        """
        while True:
            stored = await self._conversations.get(intake.conversation_id)
            mark = {} if stored.import_source is None else stored.import_source.model_dump()
            if mark.get("completed") and intake.age(mark) < 0:
                return
            custom = dict(stored.custom_metadata or {})
            for name in mark.get("custom_fields") or ():
                custom.pop(name, None)
            custom |= intake.source.custom
            wanted: Row = {
                "title": title_of(intake.source) or stored.title,
                "custom_metadata": custom or None,
                "active_branch": branches.get(intake.conversation_id, stored.active_branch),
            }
            changed = {
                name: wanted[name] for name in wanted if wanted[name] != getattr(stored, name)
            }
            try:
                if changed:
                    stored = await self._conversations.patch(
                        intake.conversation_id, expected_revision=stored.revision, **changed
                    )
            except errors.VersionConflict:
                continue
            if await self._mark([(intake, stored.revision, mark)]):
                return

    async def _mark(self, done: Sequence[tuple[Intake, int, Row]]) -> bool:
        """Mark conversations as complete, or as incomplete when there were failures.

        Args:
            done: Each intake, with the revision and the mark that its conversation must still
                have.

        Returns:
            Whether all of them are marked.
        """
        if not done:
            return True
        changes: list[tuple[Row, Row]] = []
        for intake, revision, mark in done:
            values: Row = {"import_source": mark_of(intake, completed=not intake.report.failed)}
            update: Row = {
                "$set": values,
                "$addToSet": {"months": {"$each": sorted(intake.months)}},
            }
            last = intake.last_shown
            if intake.report.failed["idempotency_conflict"]:
                pass  # what the source says last may not be what is stored
            elif last is not None:
                values |= glance(
                    last["message_id"], last["role"], preview(last), last["created_at"]
                )
            else:
                update["$unset"] = {"last_message": ""}
            where = {
                "conversation_id": intake.conversation_id,
                "revision": revision,
                "fingerprint": mark.get("fingerprint"),
                "completed": mark.get("completed"),
            }
            changes.append((where, update))
        return await self._scope.update_each(CONVERSATION_AT_MARK, changes) == len(changes)


async def _first_done(running: dict[asyncio.Task[int], set[str]]) -> set[asyncio.Task[int]]:
    done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        del running[task]
    return done
