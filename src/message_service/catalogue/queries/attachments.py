"""The queries on `attachments.files` and `attachments.chunks`."""

from __future__ import annotations

from collections.abc import Sequence

from message_service.catalogue.queries.parts import equal
from message_service.database.query import Filter, Query

_DIGEST = "sha256:" + 64 * "0"


def _digests(digests: Sequence[str]) -> Filter:
    return {"digest": {"$in": list(digests)}}


def _pointers(pointers: Sequence[str]) -> Filter:
    return {"metadata.pointers": {"$in": list(pointers)}}


ATTACHMENT_BY_DIGEST = Query(
    name="attachments.by_digest",
    collection="attachments.files",
    purpose="One file by the digest of its bytes",
    index="idx_attachment_unique",
    build=equal("digest"),
    example={"digest": _DIGEST},
)

ATTACHMENTS_BY_DIGESTS = Query(
    name="attachments.by_digests",
    collection="attachments.files",
    purpose="Several files by the digests of their bytes",
    index="idx_attachment_unique",
    build=_digests,
    example={"digests": [_DIGEST]},
)

ATTACHMENTS_BY_POINTERS = Query(
    name="attachments.by_pointers",
    collection="attachments.files",
    purpose="Files by providers' pointers",
    index="idx_attachment_pointer",
    build=_pointers,
    example={"pointers": ["file-abc"]},
    # A pointer can name several files, and a file has several pointers.
    examined_slack=10,
    scatter="a provider's pointer does not tell the digest, by which files are distributed",
)

ATTACHMENT_CHUNK_NUMBERS = Query(
    name="attachments.chunk_numbers",
    collection="attachments.chunks",
    purpose="Which pieces of a file are stored; the index alone answers it",
    index="idx_attachment_chunk_unique",
    build=equal("files_id"),
    example={"files_id": f"default:{_DIGEST}"},
    projection={"_id": 0, "n": 1},
)

ATTACHMENT_CHUNKS_OF_FILE = Query(
    name="attachments.chunks",
    collection="attachments.chunks",
    purpose="The bytes of a file, in order",
    index="idx_attachment_chunk_unique",
    build=equal("files_id"),
    example={"files_id": f"default:{_DIGEST}"},
    sort=(("n", 1),),
    projection={"_id": 0, "n": 1, "data": 1},
)
