"""Pointers of attachments: ours, which name the digest of the bytes, and the providers'."""

from __future__ import annotations

import re

from message_service.documents.parts import DIGEST_OF_FILE, Attachment

SCHEME = "attachment:"
"""Our pointers begin with this; the digest follows."""

_DIGEST = re.compile(DIGEST_OF_FILE)
_SCHEMES = re.compile(r"[a-z][a-z0-9+.-]*:/*", re.IGNORECASE)


def pointer_to(digest: str) -> str:
    """Return our pointer to a stored file."""
    return SCHEME + digest


def is_ours(pointer: str | None) -> bool:
    """Whether a pointer has our scheme, and so must name a stored file."""
    return pointer is not None and pointer.startswith(SCHEME)


def digest_in(pointer: str | None) -> str | None:
    """Return the digest that a text names, alone or as our pointer; None when it is no digest."""
    digest = (pointer or "").removeprefix(SCHEME)
    return digest if _DIGEST.fullmatch(digest) else None


def digest_of(attachment: Attachment) -> str | None:
    """Return the digest by which an attachment names its bytes, if it does."""
    if is_ours(attachment.pointer):
        return digest_in(attachment.pointer)
    return digest_in(attachment.hash)


def provider_id(pointer: str) -> str:
    """Return the id in a provider's pointer.

    ChatGPT, for example, names the same file `file-service://file-abc`, `sediment://file-abc#p1`
    and `file-abc`.
    """
    opening = _SCHEMES.match(pointer)
    rest = pointer[opening.end() :] if opening is not None else pointer
    return rest.partition("#")[0] or pointer
