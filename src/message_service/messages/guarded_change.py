"""A change of one message: one targeted update, guarded by the revision that was read.

Two changes at the same time cannot undo one another: the later one finds another revision, reads
the message again, and decides again. Every change marks the message for its followers.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any

from message_service import errors
from message_service.arguments import check_revision
from message_service.catalogue.marks import marked
from message_service.catalogue.queries.messages import MESSAGE_AT_REVISION
from message_service.clock import Clock
from message_service.database.scope import Scope
from message_service.documents.message import MessageVersion
from message_service.documents.row import Row
from message_service.documents.validation import checked
from message_service.messages.read_message import read_message
from message_service.messages.rows import StoredMessage

_ATTEMPTS = 10

Decide = Callable[[Row], Awaitable[Mapping[str, Any] | None]]
"""Takes the stored message; returns the update, or None to leave the message as it is."""


class GuardedChange:
    """Changes one tenant's messages.

    Args:
        scope: The tenant's scope.
        clock: The present moment.
    """

    def __init__(self, scope: Scope, clock: Clock) -> None:
        self._scope = scope
        self._clock = clock

    async def make(
        self,
        conversation_id: str,
        message_id: str,
        expected_revision: int | None,
        decide: Decide,
    ) -> StoredMessage:
        """Read a message, decide on its update, and write it if nobody else has changed it since.

        Raises:
            NotFound: There is no such message.
            VersionConflict: It was changed since `expected_revision`, or others change it all the
                time.
        """
        check_revision(expected_revision)
        for _ in range(_ATTEMPTS):
            stored = await read_message(self._scope, conversation_id, message_id)
            if expected_revision is not None and stored["revision"] != expected_revision:
                raise errors.VersionConflict(
                    f"message {message_id!r} is at revision {stored['revision']}, "
                    f"not {expected_revision}; read it again",
                    revision=stored["revision"],
                )
            update = await decide(stored)
            if update is None:
                return StoredMessage(stored)
            due = marked(self._clock.now())
            changed = await self._scope.find_and_update(
                MESSAGE_AT_REVISION,
                {**update, "$min": due, "$inc": {"revision": 1}},
                conversation_id=conversation_id,
                message_id=message_id,
                revision=stored["revision"],
            )
            if changed is not None:
                return StoredMessage(changed)
        raise errors.VersionConflict(
            f"message {message_id!r} is being changed by others all the time; try again"
        )

    async def keep_version(self, stored: Row, now: datetime) -> None:
        """Store the present content of a message as a version."""
        version = checked(
            MessageVersion,
            {
                "tenant_id": self._scope.tenant_id,
                "conversation_id": stored["conversation_id"],
                "message_id": stored["message_id"],
                "revision": stored["revision"],
                "content": stored["content"],
                "replaced_at": now,
            },
        )
        # The version may exist already, from an edit that died before its second write.
        await self._scope.insert_one(
            "message_versions", version.to_bson(), comment="message_versions.keep"
        )
