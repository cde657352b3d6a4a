"""Carries out the plans of `merging`, also while others write to the same conversation."""

from __future__ import annotations

from collections.abc import Sequence, Set

from message_service import errors
from message_service.catalogue.queries.conversations import BRANCHES_OF_CONVERSATION
from message_service.catalogue.queries.messages import CONVERSATION_LAYOUT
from message_service.clock import Clock
from message_service.database.scope import Scope
from message_service.documents.row import Row
from message_service.interchange.intake import Intake
from message_service.interchange.merging import Layout, Stretch, plan
from message_service.interchange.revisions import Revisions
from message_service.messages.incoming import check_appendable
from message_service.messages.messages import Messages
from message_service.messages.outcomes import Appended
from message_service.messages.takeover import Takeover

_LONG_CONVERSATION = 1_000
_PATIENCE = 3
"""Retries while another writer keeps writing to the branches, before new branches are opened."""


class Merger:
    """Appends the missing messages of conversations.

    Args:
        scope: The tenant's scope.
        messages: The tenant's messages.
        clock: The source of the current time.
    """

    def __init__(self, scope: Scope, messages: Messages, clock: Clock) -> None:
        self._scope = scope
        self._messages = messages
        self._revisions = Revisions(Takeover(scope, clock))
        self._clock = clock

    async def append(self, intake: Intake, marked: Row, *, fresh: bool) -> str | None:
        """Append the missing messages; return the branch that ends where the source's line ends.

        Args:
            intake: The intake of the conversation.
            marked: The conversation's `import_source` from the last import; empty when unknown.
            fresh: Whether the conversation was just created, so that it has no messages to read.
        """
        intake.prepare(self._clock.now())
        layout, stored = (Layout(), {}) if fresh else await self._read(intake.conversation_id)
        attempts = 0
        while True:
            apart = attempts > _PATIENCE
            decided = plan(intake.nodes, layout, intake.shown, apart=apart)
            names = await self._carry_out(
                intake, decided.stretches, None if apart else layout.tail, apart=apart
            )
            if names is not None:
                break
            # Another writer was active, or a message was refused: read the layout again and retry.
            layout, _ = await self._read(intake.conversation_id)
            attempts += 1
        age = intake.age(marked) if marked else 0
        changed = await self._revisions.apply(intake, stored, age)
        for message_id in intake.deleted:
            if age >= 0 and stored.get(message_id, {}).get("status") != "deleted":
                await self._messages.delete(intake.conversation_id, message_id)
        _count(intake, layout, changed)
        return None if decided.shown is None else names.get(decided.shown, decided.shown)

    async def preview(self, intake: Intake, marked: Row, *, fresh: bool) -> None:
        """Count what `append` would do, without writing.

        Args:
            intake: The intake of the conversation.
            marked: As for `append`.
            fresh: Whether the conversation is not stored.
        """
        intake.prepare(self._clock.now())
        layout, stored = (Layout(), {}) if fresh else await self._read(intake.conversation_id)
        age = intake.age(marked) if marked else 0
        changed = self._revisions.compare(intake, stored, age).counted(intake)
        for node in intake.nodes:
            if node.message_id in layout.branch_of:
                continue
            [record] = intake.records([node.message_id])
            try:
                check_appendable(intake.values[node.message_id])
            except errors.InvalidInput as error:
                intake.report.failed[error.code] += 1
                intake.failed.add(record)
            else:
                intake.stored.add(record)
        _count(intake, layout, changed)

    async def _read(self, conversation_id: str) -> tuple[Layout, dict[str, Row]]:
        """Return the layout of a conversation's stored messages, and the messages by id."""
        layout = Layout()
        branches = await self._scope.find(BRANCHES_OF_CONVERSATION, conversation_id=conversation_id)
        layout.ends |= {row["branch"]: row.get("fork_message_id") for row in branches}
        rows: dict[str, Row] = {}
        async for row in self._scope.stream(
            CONVERSATION_LAYOUT, batch=2_000, conversation_id=conversation_id
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
        self, intake: Intake, stretches: Sequence[Stretch], tail: int | None, *, apart: bool
    ) -> dict[str, str] | None:
        """Append the stretches; return the actual branch names, or None after a conflict.

        Args:
            intake: The intake of the conversation.
            stretches: The messages to append.
            tail: The last sequence number at planning time; a newer message is a conflict.
            apart: Whether new branches get generated names, which cannot clash with others.
        """
        names: dict[str, str] = {}
        for stretch in stretches:
            if stretch.opens:
                try:
                    made = await self._messages.branch(
                        intake.conversation_id, stretch.fork, name=None if apart else stretch.branch
                    )
                except errors.AlreadyExists:
                    return None
                names[stretch.branch] = made.name
            branch = names.get(stretch.branch, stretch.branch)
            for start in range(0, len(stretch.message_ids), _LONG_CONVERSATION):
                part = stretch.message_ids[start : start + _LONG_CONVERSATION]
                if not await self._append_part(intake, part, branch, tail):
                    return None
                if tail is not None:
                    tail += len(part)
        return names

    async def _append_part(
        self, intake: Intake, part: Sequence[str], branch: str, tail: int | None
    ) -> bool:
        """Append messages of one branch; return whether all of them are stored as planned."""
        values = [{**intake.values[message_id], "branch": branch} for message_id in part]
        try:
            outcomes = await self._messages.append_many(
                intake.conversation_id, values, backlog=True, expected_tail=tail
            )
        except errors.InvalidInput as error:
            # Readers yield only valid values; one that is still refused must not stop the others.
            where, _, rest = error.field.partition(".")
            if where != "messages":
                raise
            refused = {part[int(rest.partition(".")[0])]}
            intake.report.failed[error.code] += 1
            intake.failed |= intake.records(refused)
            intake.drop(refused)
            return False
        in_place = True
        refused: set[str] = set()
        for message_id, outcome in zip(part, outcomes, strict=True):
            [record] = intake.records([message_id])
            if isinstance(outcome, Appended):
                (intake.found if outcome.duplicate else intake.stored).add(record)
            elif isinstance(outcome, errors.VersionConflict):
                in_place = False
            else:
                intake.report.failed[outcome.code] += 1
                intake.failed.add(record)
                refused.add(message_id)
        if refused:
            intake.drop(refused)
        return in_place and not refused


def _count(intake: Intake, layout: Layout, changed: Set[str]) -> None:
    """Count what was stored by this import, and what was there and did not change."""
    known = {node.message_id for node in intake.nodes} & layout.branch_of.keys()
    intake.found |= intake.records(known)
    intake.report.stored = len(intake.stored - intake.failed)
    intake.report.unchanged = len(intake.found - intake.stored - intake.failed - changed)
