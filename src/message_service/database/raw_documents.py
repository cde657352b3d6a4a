"""Documents as the bytes that are stored, and exact conversions of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, cast

import bson
from bson import json_util
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.errors import BSONError
from bson.raw_bson import RawBSONDocument

from message_service import errors
from message_service.documents.row import Row

RAW: CodecOptions[RawBSONDocument] = CodecOptions(document_class=RawBSONDocument)
"""Reads documents as their bytes."""

EXACT: CodecOptions[Row] = CodecOptions(
    document_class=dict, datetime_conversion=DatetimeConversion.DATETIME_MS
)
"""Decodes documents so that encoding them again gives the same bytes."""

_LENGTH = 4


def decode(raw: bytes) -> Row:
    """Return the values of a document; `encode` gives the same bytes again."""
    return bson.decode(raw, EXACT)  # pyright: ignore[reportUnknownMemberType]


def encode(document: Row) -> bytes:
    """Return the bytes of a document."""
    return bson.encode(document, codec_options=EXACT)


def id_of(raw: bytes) -> Any:
    """Return the `_id` of a document, as a value that `encode` can take."""
    return RawBSONDocument(raw, RAW)["_id"]


def fields_of(document: bytes | Row, names: Sequence[str]) -> list[Any]:
    """Return some top fields of a document; None for those it lacks."""
    values: Any = document if isinstance(document, dict) else RawBSONDocument(document, RAW)
    return [values.get(name) for name in names]


def split(data: bytes) -> Iterator[bytes]:
    """Yield the documents that stand one after the other.

    Raises:
        ValueError: The bytes are not whole documents.
    """
    at = 0
    while at < len(data):
        length = int.from_bytes(data[at : at + _LENGTH], "little", signed=True)
        end = at + length
        if length < _LENGTH + 1 or end > len(data) or data[end - 1] != 0:
            raise ValueError(f"no BSON document at byte {at:,}")
        yield data[at:end]
        at = end


def to_canonical_json(value: Row) -> str:
    """Return a document as Extended JSON (canonical, so that types stay), as mongodump does."""
    return json_util.dumps(value, json_options=json_util.CANONICAL_JSON_OPTIONS)


def from_canonical_json(text: str) -> Row:
    """Return the document of a text.

    Raises:
        ValueError: It is none.
    """
    options = json_util.CANONICAL_JSON_OPTIONS.with_options(
        datetime_conversion=DatetimeConversion.DATETIME_MS
    )
    try:
        found = json_util.loads(text, json_options=options)
    except (BSONError, TypeError) as error:
        raise ValueError(str(error)) from None
    if not isinstance(found, dict):
        raise ValueError("not a document")
    return cast("Row", found)


def wrapped(document: bytes) -> RawBSONDocument:
    """Return a document for the driver, which sends its bytes as they are."""
    try:
        return RawBSONDocument(document, RAW)
    except BSONError:
        raise errors.Internal("bytes that are not a BSON document") from None
