"""What is written down about a backup: files, hashes, counts, points, and who made it.

A manifest is one JSON document with a seal, the SHA-256 of all the rest. It is written last: a
backup without one was not completed.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, ValidationError

from message_service import errors
from message_service.database.point import OplogPoint

FORMAT = 1
"""The version of how backups are written; a release refuses one of a higher version."""

_SEAL = "seal"


def _point(given: object) -> OplogPoint:
    found = given if isinstance(given, OplogPoint) else OplogPoint.parse(str(given))
    if found is None:
        raise ValueError("not a point")
    return found


PointField = Annotated[OplogPoint, BeforeValidator(_point), PlainSerializer(str)]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", arbitrary_types_allowed=True)


class FileRecord(_Record):
    """A file of a backup.

    Attributes:
        name: Its name in the storage.
        digest: The SHA-256 of its bytes, in hexadecimal digits.
        bytes: Its size.
        raw_bytes: The size of what is in it.
        documents: How many documents that are.
    """

    name: str
    digest: str
    bytes: int
    raw_bytes: int
    documents: int


class PartRecord(FileRecord):
    """A file with a stretch of a collection.

    Attributes:
        read_at: The point at which the stretch was read; None on a server without oplog.
    """

    read_at: PointField | None = None


class CollectionRecord(_Record):
    """A collection in a backup.

    Attributes:
        name: Its name.
        documents: How many documents it has.
        raw_bytes: Their size.
        content: What their contents add up to (`packing.content_of`), in hexadecimal digits.
        metadata: The file with its options and indexes, as mongodump writes it.
        parts: The files with its documents, in the order of `_id`.
    """

    name: str
    documents: int
    raw_bytes: int
    content: str
    metadata: FileRecord
    parts: list[PartRecord]


class ClockStep(_Record):
    """A place where the clock of the primary went back.

    Attributes:
        at: The first entry after it.
        back_from: The latest time before it, in milliseconds since 1970.
        back_to: The time of that entry.
    """

    at: PointField
    back_from: int
    back_to: int


class SegmentManifest(_Record):
    """A stretch of the oplog: all that was written after a point, up to another.

    Attributes:
        format: The version of how it is written.
        kind: `segment`.
        database: The database.
        replica_set: What identifies the replica set.
        release: The release that wrote it.
        schema_version: The version of the database's schema when it was written.
        key: The name of the key; None when it is not encrypted.
        by: The host and process that wrote it.
        written_at: When.
        after: The point it begins after.
        through: The point it ends with.
        after_wall: The clock of the primary at the one, in milliseconds since 1970.
        through_wall: And at the other.
        previous: The seal of the segment that ends where this one begins; None when there is none.
        operations: How many entries it has.
        schema_changes: How many of them change collections or indexes.
        clock_steps: Where the primary's clock went back.
        file: The file with the entries.
    """

    format: int
    kind: Literal["segment"] = "segment"
    database: str
    replica_set: str
    release: str
    schema_version: int | None
    key: str | None
    by: str
    written_at: datetime
    after: PointField
    through: PointField
    after_wall: int
    through_wall: int
    previous: str | None
    operations: int
    schema_changes: int
    clock_steps: list[ClockStep]
    file: FileRecord
    seal: str = ""


class FullManifest(_Record):
    """A whole database.

    Attributes:
        format: The version of how it is written.
        kind: `full`.
        id: The name of the backup.
        database: The database.
        replica_set: What identifies the replica set; None for a server without oplog.
        server_version: The version of the server.
        release: The release that made the backup.
        schema_version: The version of the database's schema.
        key: The name of the key; None when it is not encrypted.
        by: The host and process that made it.
        started_at: When it was begun.
        completed_at: When it was complete.
        opened_at: The point at which its collections and indexes were looked up.
        taken_at: The point of its state: files and oplog together restore exactly this.
        taken_wall: The clock of the primary then, in milliseconds since 1970.
        consistent: Whether it is the state of one point; not so on a server without oplog.
        points: How many points its parts were read at.
        collections: The collections.
        views: The files with the views.
        oplog: The file with the entries after `opened_at`, up to `taken_at`.
        left_out: Names of collections that are not in it, because of their kind.
    """

    format: int
    kind: Literal["full"] = "full"
    id: str
    database: str
    replica_set: str | None
    server_version: str
    release: str
    schema_version: int | None
    key: str | None
    by: str
    started_at: datetime
    completed_at: datetime
    opened_at: PointField | None
    taken_at: PointField | None
    taken_wall: int
    consistent: bool
    points: int
    collections: list[CollectionRecord]
    views: list[FileRecord]
    oplog: FileRecord | None
    left_out: list[str]
    seal: str = ""

    @property
    def files(self) -> list[FileRecord]:
        """All files of it."""
        found = [*self.views, *([] if self.oplog is None else [self.oplog])]
        for each in self.collections:
            found += [each.metadata, *each.parts]
        return found

    @property
    def documents(self) -> int:
        """How many documents it has."""
        return sum(each.documents for each in self.collections)

    @property
    def raw_bytes(self) -> int:
        """The size of its documents."""
        return sum(each.raw_bytes for each in self.collections)

    @property
    def bytes(self) -> int:
        """The size of its files."""
        return sum(each.bytes for each in self.files)


M = TypeVar("M", FullManifest, SegmentManifest)


def sealed(manifest: M) -> tuple[M, bytes]:
    """Return a manifest with its seal, and the bytes of its file."""
    values = manifest.model_dump(mode="json", exclude={_SEAL})
    seal = seal_of(values)
    text = json.dumps({**values, _SEAL: seal}, ensure_ascii=False, indent=1)
    return manifest.model_copy(update={_SEAL: seal}), text.encode()


def read_manifest(model: type[M], name: str, data: bytes) -> M:
    """Return the manifest of a file.

    Raises:
        BackupDamaged: The file was changed.
        Unsupported: A newer release wrote it.
    """
    try:
        values: dict[str, Any] = json.loads(data)
        seal = values.pop(_SEAL)
    except (ValueError, KeyError, AttributeError, TypeError):
        raise errors.BackupDamaged(f"the manifest {name} is damaged", file=name) from None
    if isinstance(values.get("format"), int) and values["format"] > FORMAT:
        raise errors.Unsupported(
            f"{name} was written by a newer release (format {values['format']}, this one knows "
            f"{FORMAT}); upgrade message-service"
        )
    if seal != seal_of(values):
        raise errors.BackupDamaged(f"the manifest {name} was changed", file=name)
    try:
        return model.model_validate({**values, _SEAL: seal})
    except ValidationError:
        raise errors.BackupDamaged(f"the manifest {name} is damaged", file=name) from None


def seal_of(values: dict[str, Any]) -> str:
    """Return the seal of values: the SHA-256 of all of them."""
    text = json.dumps(values, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
