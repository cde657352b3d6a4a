"""Reads the texts in PNG files: the chunks `tEXt`, `zTXt` and `iTXt`."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path

from message_service import errors
from message_service.interchange.reading import sources

SIGNATURE = b"\x89PNG\r\n\x1a\n"

_KINDS = (b"tEXt", b"zTXt", b"iTXt")
_MAX_KEYWORD = 80
_CHECKSUM_BYTES = 4
_AGAIN = "Fetch or export it again"


def texts(path: Path, *keywords: str) -> Iterator[tuple[str, bytes]]:
    """Yield the texts with one of these keywords, in lower case, unpacked.

    Only such texts are kept in memory, none longer than `sources.MAX_RECORD_BYTES`. A text that
    fails its checksum or cannot be unpacked is left out.

    Raises:
        InvalidImport: The file is not a PNG file, is truncated (the texts before that were
            yielded), or has too long a text.
    """
    stream = _Stream(path)
    if stream.take(len(SIGNATURE)) != SIGNATURE:
        raise sources.broken(path, "is not a PNG file", "Name the format the file really has")
    while head := stream.take(8):
        length, kind = int.from_bytes(head[:4], "big"), head[4:]
        if kind not in _KINDS:
            stream.skip(length + _CHECKSUM_BYTES)
            if kind == b"IEND":
                return
            continue
        start = stream.take(min(length, _MAX_KEYWORD))
        keyword = start.partition(b"\0")[0].decode("latin-1").lower()
        if keyword not in keywords:
            stream.skip(length - len(start) + _CHECKSUM_BYTES)
            continue
        if length > sources.MAX_RECORD_BYTES:
            raise sources.too_long(path, f"the text {keyword!r}")
        body = start + stream.take(length - len(start))
        checksum = int.from_bytes(stream.take(_CHECKSUM_BYTES), "big")
        found = _text(kind, body.partition(b"\0")[2])
        if found is not None and zlib.crc32(kind + body) == checksum:
            yield keyword, found


def _text(kind: bytes, body: bytes) -> bytes | None:
    """Return a chunk's text from what follows its keyword; None when it is damaged."""
    if kind == b"tEXt":
        return body
    if kind == b"zTXt":
        packed, body = True, body[1:]  # after the method, of which there is one
    else:
        packed, body = body[:1] == b"\1", body[2:].partition(b"\0")[2]  # after the language
        body = body.partition(b"\0")[2]  # after the translated keyword
    if not packed:
        return body
    unpacking = zlib.decompressobj()
    try:
        text = unpacking.decompress(body, sources.MAX_RECORD_BYTES)
    except zlib.error:
        return None
    return text if unpacking.eof else None


class _Stream:
    """The bytes of a file, of which only those that are asked for are kept."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._chunks = sources.chunks(path)
        self._held = bytearray()

    def take(self, count: int) -> bytes:
        """Return the next bytes; nothing at the end of the file.

        Raises:
            InvalidImport: The file ends within these bytes.
        """
        while len(self._held) < count:
            chunk = next(self._chunks, b"")
            if not chunk:
                if self._held:
                    raise self._truncated()
                return b""
            self._held += chunk
        taken = bytes(self._held[:count])
        del self._held[:count]
        return taken

    def skip(self, count: int) -> None:
        """Skip bytes.

        Raises:
            InvalidImport: The file ends within these bytes.
        """
        while len(self._held) < count:
            count -= len(self._held)
            self._held = bytearray(next(self._chunks, b""))
            if not self._held:
                raise self._truncated()
        del self._held[:count]

    def _truncated(self) -> errors.InvalidImport:
        return sources.broken(self._path, "is truncated", _AGAIN)
