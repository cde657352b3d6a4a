"""Restores our own exports: documents as they were, including numbers and digests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import closing

from pydantic import ValidationError

from message_service import errors
from message_service.attachments.attachments import Attachments
from message_service.catalogue.follower import BACKLOG
from message_service.catalogue.marks import mark, unmarked
from message_service.catalogue.queries.conversations import CONVERSATION_BY_ID
from message_service.catalogue.queries.messages import MESSAGES_BY_IDS
from message_service.clock import Clock
from message_service.database.scope import Scope
from message_service.documents import Branch, Conversation, Message, MessageVersion, StoredDocument
from message_service.documents.message import MessageType
from message_service.documents.row import Row
from message_service.interchange.bundled_files import BundledFile
from message_service.interchange.jsonl import Bundle
from message_service.interchange.report import ConversationReport, ImportReport
from message_service.messages import integrity
from message_service.messages.content import hash_of
from message_service.stopping import StopSignal

_REFUSED = "refused_by_the_server"
_SAME = ("message_id", "sequence_number", "checksum", "revision", "status")


class Restorer:
    """Restores bundles into one tenant; existing messages are compared, never overwritten.

    The document of the conversation is written last: until then nobody can append to the
    conversation, and an interrupted import can simply be started again.

    Args:
        scope: The tenant's scope.
        clock: The present moment.
        attachments: The tenant's attachments.
    """

    def __init__(self, scope: Scope, clock: Clock, attachments: Attachments) -> None:
        self._scope = scope
        self._clock = clock
        self._attachments = attachments

    async def run(
        self,
        source: Iterable[Bundle | BundledFile],
        report: ImportReport,
        stop: StopSignal,
        *,
        dry_run: bool = False,
    ) -> AsyncIterator[int]:
        """Restore every bundle; yield the number of messages done after each bundle.

        Args:
            source: The bundles of an export, and the files of their messages.
            report: Filled in during the import. When the file is damaged, `error` names the place,
                and the conversations before it are restored.
            stop: Asks to stop after the current bundle.
            dry_run: Only count what would be restored; nothing is written.
        """
        reader = iter(source)
        first = True
        while True:
            try:
                bundle = next(reader, None)
            except errors.InvalidImport as error:
                report.error = error.message
                return
            if bundle is None:
                return
            if stop.requested:
                report.stopped = True
                return
            if isinstance(bundle, BundledFile):
                await self._restore_file(bundle, report, dry_run=dry_run)
                continue
            result = await self._restore(bundle, report, dry_run=dry_run)
            report.add(result, first=first)
            first = bundle.last
            yield len(bundle.messages)

    async def _restore_file(
        self, file: BundledFile, report: ImportReport, *, dry_run: bool
    ) -> None:
        with closing(file):
            if not file.is_whole:
                report.files_failed["differs from its digest"] += 1
                return
            try:
                if not dry_run:
                    await file.store(self._attachments)
            except errors.InvalidInput as error:
                report.files_failed[error.problem] += 1
            else:
                report.files += 1

    async def _restore(
        self, bundle: Bundle, report: ImportReport, *, dry_run: bool
    ) -> ConversationReport:
        conversation_id = str(bundle.conversation.get("conversation_id"))
        result = ConversationReport(conversation_id, conversation_id)
        if not self._valid(Conversation, [bundle.conversation], result):
            result.failed["of_invalid_conversation"] += len(bundle.messages)
            return result
        branches = self._valid(Branch, bundle.branches, result)
        messages = [
            self._due(message)
            for message in self._valid(Message, bundle.messages, result)
            if self._intact(message, conversation_id, result)
        ]
        versions = self._valid(MessageVersion, bundle.versions, result)
        if dry_run:
            await self._compare(conversation_id, messages, messages, result)
            there = await self._scope.find_one(CONVERSATION_BY_ID, conversation_id=conversation_id)
            report.new += bundle.last and there is None
            return result
        await self._insert("conversation_branches", branches, result)
        await self._insert_messages(conversation_id, messages, result)
        await self._insert("message_versions", versions, result)
        if bundle.last:
            turned_down = result.failed[_REFUSED]
            there = await self._insert("conversations", [bundle.conversation], result)
            report.new += not there and result.failed[_REFUSED] == turned_down
        return result

    async def _insert(
        self, collection: str, documents: Sequence[Row], result: ConversationReport
    ) -> list[Row]:
        """Insert documents; return those that exist already, whether equal or different."""
        if not documents:
            return []
        refused = await self._scope.insert_many(
            collection, documents, comment=f"{collection}.restore"
        )
        there: list[Row] = []
        for refusal in refused:
            if isinstance(refusal.error, errors.AlreadyExists):
                there.append(documents[refusal.position])
            else:
                result.failed[_REFUSED] += 1
        return there

    async def _insert_messages(
        self, conversation_id: str, messages: Sequence[Row], result: ConversationReport
    ) -> None:
        turned_down = result.failed[_REFUSED]
        refused = await self._insert("messages", messages, result)
        turned_down = result.failed[_REFUSED] - turned_down
        result.stored += len(messages) - len(refused) - turned_down
        if refused:
            await self._compare(conversation_id, refused, (), result)

    async def _compare(
        self,
        conversation_id: str,
        messages: Sequence[Row],
        absent: Sequence[Row],
        result: ConversationReport,
    ) -> None:
        """Count messages by what is stored under their ids.

        Args:
            conversation_id: The conversation.
            messages: The messages.
            absent: Those that may be absent, because nothing was written: they would be stored.
            result: Filled in.
        """
        may_be_absent = {message["message_id"] for message in absent}
        rows = await self._scope.find(
            MESSAGES_BY_IDS,
            conversation_id=conversation_id,
            message_ids=[message["message_id"] for message in messages],
        )
        stored: dict[str, Row] = {row["message_id"]: row for row in rows}
        for message in messages:
            there = stored.get(message["message_id"])
            if there is None and message["message_id"] in may_be_absent:
                result.stored += 1
            elif there is None:
                result.failed["number_taken_by_another_message"] += 1
            elif all(there.get(name) == message.get(name) for name in _SAME):
                result.unchanged += 1
            else:
                result.failed["differs_from_the_stored_message"] += 1

    def _valid(
        self, model: type[StoredDocument], documents: Sequence[Row], result: ConversationReport
    ) -> list[Row]:
        kept: list[Row] = []
        for document in documents:
            try:
                model.model_validate({**document, "tenant_id": self._scope.tenant_id})
            except ValidationError as error:
                field = ".".join(str(part) for part in error.errors()[0]["loc"])
                result.failed[f"invalid_field {field}"] += 1
            else:
                kept.append(document)
        return kept

    def _due(self, message: Row) -> Row:
        """Mark a message as pending for the followers, whose results the file does not contain."""
        if message["message_type"] == MessageType.TOMBSTONE:
            return message
        return mark(unmarked(message), self._clock.now(), BACKLOG)

    @staticmethod
    def _intact(message: Row, conversation_id: str, result: ConversationReport) -> bool:
        """Whether a message belongs to the conversation and its digests match its content."""
        if message["conversation_id"] != conversation_id:
            result.failed["belongs_to_another_conversation"] += 1
            return False
        content: Row = message["content"]
        try:
            expected = hash_of(content)
        except UnicodeEncodeError:
            result.failed["lone_surrogate"] += 1
            return False
        if (
            message.get("checksum") != integrity.checksum(message)
            or content.get("content_hash") != expected
        ):
            result.failed["checksum_mismatch"] += 1
            return False
        return True
