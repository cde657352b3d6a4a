"""Checks that the files to which new messages point are stored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from message_service import errors
from message_service.attachments.pointers import digest_in, is_ours
from message_service.catalogue.queries.attachments import ATTACHMENTS_BY_DIGESTS
from message_service.database.scope import Scope


async def check_stored(scope: Scope, content: Mapping[str, Any]) -> None:
    """Refuse a pointer of ours to a file that is not stored in this tenant.

    Raises:
        InvalidInput: There is such a pointer.
    """
    ours: dict[int, str | None] = {
        place: digest_in(part["pointer"])
        for place, part in enumerate(content.get("parts") or ())
        if part["type"] == "attachment" and is_ours(part.get("pointer"))
    }
    if not ours:
        return
    digests = sorted({digest for digest in ours.values() if digest is not None})
    rows = await scope.find(ATTACHMENTS_BY_DIGESTS, digests=digests)
    stored = {row["digest"] for row in rows}
    for place, digest in ours.items():
        if digest not in stored:
            raise errors.InvalidInput(
                f"parts.{place}.pointer",
                "names a file that is not stored",
                "Store the file with attachments.put, and use the part that it returns",
            )
