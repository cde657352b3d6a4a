"""Turns documents into the bytes of a file and back: one after the other, zstd, age.

`zstd -d` (after `age -d`, where a key is used) makes the BSON that mongorestore reads. These calls
are work for a thread: they take seconds, and give way to others meanwhile.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from message_service import errors
from message_service.backup.keys import Key

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LEVEL = 3
"""The level of compression: that of the zstd command."""

_CONTENT_BYTES = 16
_PLAIN, _SEALED = ".zst", ".zst.age"


@dataclass(frozen=True, slots=True)
class Packed:
    """The bytes of a file, and what is in it.

    Attributes:
        data: The bytes as they are stored.
        digest: Their SHA-256, in hexadecimal digits.
        raw_bytes: The size of the documents.
        documents: How many there are.
        content: What their contents add up to (`content_of`).
    """

    data: bytes
    digest: str
    raw_bytes: int
    documents: int
    content: int


def suffix(key: Key | None) -> str:
    """Return how the names of files end that are packed with a key."""
    return _PLAIN if key is None else _SEALED


def pack(documents: Sequence[bytes], key: Key | None) -> Packed:
    """Return documents as a file."""
    raw = b"".join(documents)
    data = pack_bytes(raw, key)
    return Packed(data, digest_of(data), len(raw), len(documents), content_of(documents))


def pack_bytes(raw: bytes, key: Key | None) -> bytes:
    """Return bytes as a file."""
    data = zstd.compress(raw, level=LEVEL)
    return data if key is None else key.encrypt(data)


def unpack(data: bytes, key: Key | None) -> bytes:
    """Return what `pack_bytes` was given.

    Raises:
        BackupDamaged: The bytes were changed.
        InvalidInput: The private part of the key is not known.
    """
    try:
        return zstd.decompress(data if key is None else key.decrypt(data))
    except zstd.ZstdError:
        raise errors.BackupDamaged("bytes that are not as zstd wrote them") from None


def digest_of(data: bytes) -> str:
    """Return the SHA-256 of bytes, in hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def content_of(documents: Iterable[bytes]) -> int:
    """Return what documents add up to: the sum of their hashes, whatever their order."""
    total = 0
    for document in documents:
        total += int.from_bytes(hashlib.sha256(document).digest()[:_CONTENT_BYTES], "little")
    return add_contents((total,))


def add_contents(contents: Iterable[int]) -> int:
    """Return what several contents add up to."""
    return sum(contents) % (1 << 8 * _CONTENT_BYTES)
