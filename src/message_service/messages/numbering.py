"""Checks that a conversation is complete, and closes holes in its numbers.

Inserts take the numbers, so appending leaves no hole. A hole can still have another cause: a
document removed by hand, a restore of an older copy, a failover that removed a write which was
never acknowledged. A tombstone closes the hole and gives the reason, so that readers that follow
the numbers know that no message will appear there.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from message_service import errors
from message_service.arguments import check_text_argument
from message_service.catalogue.queries.conversations import (
    BRANCHES_OF_CONVERSATION,
    CONVERSATION_BY_ID,
)
from message_service.catalogue.queries.messages import CONVERSATION_NUMBERS
from message_service.clock import Clock
from message_service.database.scope import Scope
from message_service.documents.fields import MAX_NAME
from message_service.documents.row import Row
from message_service.ids import IdFactory, IdKind, check_id
from message_service.messages import integrity
from message_service.messages.incoming import SCHEMA_VERSION

_HOLES_LISTED = 1_000


@dataclass(frozen=True, slots=True)
class Completeness:
    """The numbers and messages of a conversation, as counted by `Numbering.check`.

    Attributes:
        conversation_id: The conversation.
        last: The highest number.
        count: How many numbers hold a document.
        holes: Numbers below `last` without a document (the first 1,000).
        missing: How many holes there are.
        duplicates: Numbers held twice; always empty while the unique index stands.
        misplaced: Numbers of messages whose parent link contradicts their place: the parent is not
            the message before them on their branch (the first 1,000).
        digest: Digest over numbers, ids and texts in order; equal for equal conversations.
    """

    conversation_id: str
    last: int
    count: int
    holes: tuple[int, ...]
    missing: int
    duplicates: tuple[int, ...]
    misplaced: tuple[int, ...]
    digest: str

    @property
    def complete(self) -> bool:
        """Whether every number from 1 to the last holds exactly one document."""
        return not self.missing and not self.duplicates

    @property
    def consistent(self) -> bool:
        """Whether it is complete, and the messages' links agree with their order."""
        return self.complete and not self.misplaced


class Numbering:
    """Checks one tenant's conversations.

    Args:
        scope: The tenant's scope.
        clock: The present moment.
        new_id: Makes ids for tombstones.
    """

    def __init__(self, scope: Scope, clock: Clock, new_id: IdFactory) -> None:
        self._scope = scope
        self._clock = clock
        self._ids = new_id

    async def check(self, conversation_id: str) -> Completeness:
        """Check all numbers of a conversation; memory is bounded by the number of its branches.

        Raises:
            NotFound: No such conversation in this tenant.
        """
        check_id(IdKind.CONVERSATION, "conversation_id", conversation_id)
        running = hashlib.sha256()
        holes: list[int] = []
        duplicates: list[int] = []
        last = count = missing = 0
        branches = await self._scope.find(BRANCHES_OF_CONVERSATION, conversation_id=conversation_id)
        lines = Lines({row["branch"]: row.get("fork_message_id") for row in branches})
        misplaced: list[int] = []
        async for row in self._scope.stream(
            CONVERSATION_NUMBERS, batch=5_000, conversation_id=conversation_id
        ):
            number: int = row["sequence_number"]
            if number == last:
                duplicates.append(number)
            if number > last + 1:
                missing += number - last - 1
                holes.extend(range(last + 1, min(number, last + 1 + _HOLES_LISTED - len(holes))))
            running.update(
                f"{number}\x1f{row['message_id']}\x1f{row['content'].get('content_hash')}\n".encode()
            )
            if not lines.fits(row) and len(misplaced) < _HOLES_LISTED:
                misplaced.append(number)
            last = number
            count += 1
        if count == 0:
            found = await self._scope.find_one(CONVERSATION_BY_ID, conversation_id=conversation_id)
            if found is None:
                raise errors.NotFound("conversation", conversation_id)
        return Completeness(
            conversation_id=conversation_id,
            last=last,
            count=count,
            holes=tuple(holes),
            missing=missing,
            duplicates=tuple(duplicates),
            misplaced=tuple(misplaced),
            digest=f"sha256:{running.hexdigest()}",
        )

    async def close_holes(self, conversation_id: str, *, reason: str) -> int:
        """Close every hole with a tombstone, and return how many were closed.

        Safe while others write: the first insert of a number wins.

        Args:
            conversation_id: The conversation.
            reason: Why the numbers are empty, up to 256 characters; stored in each tombstone.

        Raises:
            NotFound: No such conversation in this tenant.
        """
        check_id(IdKind.CONVERSATION, "conversation_id", conversation_id)
        check_text_argument("reason", reason, most=MAX_NAME)
        found = await self._scope.find_one(CONVERSATION_BY_ID, conversation_id=conversation_id)
        if found is None:
            raise errors.NotFound("conversation", conversation_id)
        closed = 0
        while holes := (await self.check(conversation_id)).holes:
            for number in holes:
                document = tombstone(
                    tenant_id=self._scope.tenant_id,
                    conversation_id=conversation_id,
                    user_id=found["user_id"],
                    message_id=self._ids.new(IdKind.MESSAGE),
                    branch="main",
                    reason=reason,
                    clock=self._clock,
                )
                document["sequence_number"] = number
                document["checksum"] = integrity.checksum(document)
                closed += await self._scope.insert_one(
                    "messages", document, comment="messages.close_hole"
                )
        return closed


class Lines:
    """Follows the branches of a conversation, number by number.

    A message that names a parent comes right after it; only deleted messages may stand between.

    Args:
        forks: The message each branch but main leaves from.
    """

    def __init__(self, forks: Mapping[str, str | None]) -> None:
        self._forks = forks
        self._before: dict[str, set[str]] = {}

    def fits(self, row: Row) -> bool:
        """Add the next message; return whether its parent link agrees with its place."""
        if row["message_type"] == "tombstone":
            return True
        relations: Row = row["relationships"]
        branch: str = relations["conversation_branch"]
        parent: str | None = relations.get("parent_message_id")
        before = self._before.setdefault(branch, self._beginning(branch))
        fits = parent is None or parent in before
        if row["status"] != "deleted":
            before.clear()
        before.add(row["message_id"])
        return fits

    def _beginning(self, branch: str) -> set[str]:
        fork = self._forks.get(branch)
        return set() if fork is None else {fork}


def tombstone(
    *,
    tenant_id: str,
    conversation_id: str,
    user_id: str,
    message_id: str,
    branch: str,
    reason: str,
    clock: Clock,
) -> Row:
    """Return a document that takes a number without a message; the caller sets the number."""
    now = clock.now()
    return {
        "tenant_id": tenant_id,
        "message_id": message_id,
        "conversation_id": conversation_id,
        "user_id": user_id,
        "content": {
            "text": "",
            "content_hash": integrity.content_hash(b""),
            "character_count": 0,
            "token_count": 0,
        },
        "role": "system",
        "message_type": "tombstone",
        "status": "deleted",
        "timestamps": {"created_at": now, "deleted_at": now},
        "relationships": {"conversation_branch": branch},
        "tombstone": {"reason": reason, "closed_at": now},
        "version": SCHEMA_VERSION,
        "revision": 1,
        "partition_key": conversation_id,
        "data_classification": "standard",
        "retention_policy": "standard",
        "archived_to_cold_storage": False,
    }
