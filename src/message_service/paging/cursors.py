"""Page cursors: opaque to callers, signed, bound to the query and tenant they were made for."""

from __future__ import annotations

import base64
import binascii
import hmac
import json
from collections.abc import Sequence
from typing import Any

from message_service import errors

_SIGNATURE_BYTES = 16
_encoded = json.JSONEncoder(separators=(",", ":")).encode


class CursorSigner:
    """Makes and reads cursors.

    Args:
        secret: Shared by every process of one database.
    """

    def __init__(self, secret: bytes) -> None:
        # Copied for each signature, which is cheaper than to begin with the secret every time.
        self._mac = hmac.new(secret, digestmod="sha256")

    def of(self, *subject: Any) -> Cursors:
        """Return the cursors of one listing.

        Args:
            subject: JSON values that identify the listing (tenant, query, arguments).
        """
        return Cursors(self, subject)

    def sign(self, subject: Sequence[Any], position: Sequence[Any]) -> str:
        """Return a cursor standing at `position` of the listing that `subject` names.

        Args:
            subject: JSON values that identify the listing (tenant, query, arguments); signed, but
                not stored in the cursor.
            position: JSON values of the position.
        """
        body = _json(position)
        return _encode(self._signature(subject, body) + body)

    def read(self, subject: Sequence[Any], cursor: str) -> list[Any]:
        """Return the position a cursor stands at.

        Raises:
            InvalidCursor: It was altered, cut, or made for another listing or tenant.
        """
        try:
            raw = base64.b64decode(_pad(cursor), altchars=b"-_", validate=True)
            if _encode(raw) != cursor:
                raise _invalid()  # unused bits of the last character were changed
        except (binascii.Error, ValueError, TypeError, AttributeError):
            raise _invalid() from None
        signature, body = raw[:_SIGNATURE_BYTES], raw[_SIGNATURE_BYTES:]
        if not hmac.compare_digest(signature, self._signature(subject, body)):
            raise _invalid()
        position: list[Any] = json.loads(body)
        return position

    def _signature(self, subject: Sequence[Any], body: bytes) -> bytes:
        mac = self._mac.copy()
        mac.update(_json(subject) + b"\0" + body)
        return mac.digest()[:_SIGNATURE_BYTES]


class Cursors:
    """The cursors of one listing.

    Args:
        signer: Makes and reads them.
        subject: Identifies the listing; see `CursorSigner.of`.
    """

    def __init__(self, signer: CursorSigner, subject: Sequence[Any]) -> None:
        self._signer = signer
        self._subject = subject

    def at(self, *position: Any) -> str:
        """Return the cursor that stands at a position of this listing (JSON values)."""
        return self._signer.sign(self._subject, position)

    def position(self, cursor: str) -> list[Any]:
        """Return the position a cursor stands at.

        Raises:
            InvalidCursor: It was altered, cut, or made for another listing or tenant.
        """
        return self._signer.read(self._subject, cursor)


def _json(values: Sequence[Any]) -> bytes:
    return _encoded(values).encode()


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _pad(cursor: str) -> bytes:
    return cursor.encode("ascii") + b"=" * (-len(cursor) % 4)


def _invalid() -> errors.InvalidCursor:
    return errors.InvalidCursor(
        "cursor",
        "was altered, or belongs to another listing",
        "Use a cursor as the page returned it, with the same arguments, or start without one",
    )
