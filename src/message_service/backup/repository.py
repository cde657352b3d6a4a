"""The backups of one database in one place: names, manifests, files that are checked when read.

    repository.json                          whose backups these are
    backups/ID/manifest.json                 a full backup, written last
    backups/ID/DATABASE/COLLECTION.0001.bson.zst
    backups/ID/DATABASE/COLLECTION.metadata.json.zst
    oplog/AFTER_THROUGH.bson.zst             a segment; its manifest beside it, with `.json`
    clock/AFTER_THROUGH.json                 names a segment in which the primary's clock went back

Methods block; `asyncio.to_thread` runs them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from message_service import errors
from message_service.backup import packing, storage
from message_service.backup.keys import FIELD as KEY_FIELD
from message_service.backup.keys import Key
from message_service.backup.manifest import (
    FORMAT,
    FileRecord,
    FullManifest,
    SegmentManifest,
    read_manifest,
    seal_of,
    sealed,
)
from message_service.backup.packing import Packed
from message_service.backup.storage import Storage
from message_service.database.point import OplogPoint
from message_service.database.raw_documents import split

IDENTITY = "repository.json"
BACKUPS = "backups"
SEGMENTS = "oplog"
STEPS = "clock"
MANIFEST = "manifest.json"
_MANIFEST_END = ".json"


@dataclass(frozen=True, slots=True, order=True)
class SegmentName:
    """A segment as its name tells it.

    Attributes:
        after: The point it begins after.
        through: The point it ends with.
    """

    after: OplogPoint
    through: OplogPoint

    @classmethod
    def parse(cls, name: str) -> SegmentName | None:
        """Return the segment whose manifest has this file name; None when it is none."""
        after, separator, through = name.removesuffix(_MANIFEST_END).partition("_")
        points = OplogPoint.parse(after), OplogPoint.parse(through)
        if not separator or not name.endswith(_MANIFEST_END) or None in points:
            return None
        return cls(*(point for point in points if point is not None))

    @property
    def stem(self) -> str:
        """The name of its files, without their ends."""
        return f"{SEGMENTS}/{self.after}_{self.through}"


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose backups a place holds.

    Attributes:
        database: The database.
        replica_set: What identifies its replica set; None for a server without oplog.
        key: The name of the key of its newest backups; None when they are not encrypted.
    """

    database: str
    replica_set: str | None
    key: str | None


class Repository:
    """The backups in one place.

    Args:
        place: The storage.
        key: The key; None reads and writes without.
    """

    def __init__(self, place: Storage, key: Key | None) -> None:
        self.place = place
        self.key = key

    def identity(self) -> Identity | None:
        """Return whose backups are here; None when there are none.

        Raises:
            BackupDamaged: The file that says so is damaged.
            Unsupported: A newer release wrote it.
        """
        data = self.place.get(IDENTITY)
        if data is None:
            return None
        try:
            values: dict[str, Any] = json.loads(data)
            version = int(values["format"])
            seal = None if version > FORMAT else values.pop("seal")
            found = Identity(values["database"], values["replica_set"], values["key"])
        except (ValueError, KeyError, TypeError, AttributeError):
            raise errors.BackupDamaged(f"{IDENTITY} is damaged", file=IDENTITY) from None
        if version > FORMAT:
            raise errors.Unsupported(
                f"these backups were written by a newer release (format {version}, this one knows "
                f"{FORMAT}); upgrade message-service"
            )
        if seal != seal_of(values):
            raise errors.BackupDamaged(f"{IDENTITY} was changed", file=IDENTITY)
        return found

    def check_is_for(self, database: str, replica_set: str | None) -> bool:
        """Check that backups of this database may be written here; nothing is written.

        Returns:
            Whether there are such backups already.

        Raises:
            InvalidInput: The place holds something else.
        """
        found = self.identity()
        if found is None:
            if others := self.place.names(""):
                raise errors.InvalidInput(
                    storage.FIELD,
                    f"holds other files ({others[0]!r})",
                    "Give an empty or new place",
                )
            return False
        if (found.database, found.replica_set) != (database, replica_set):
            where = "a server without oplog" if replica_set is None else f"set {replica_set}"
            held = (
                "a server without oplog"
                if found.replica_set is None
                else f"replica set {found.replica_set}"
            )
            raise errors.InvalidInput(
                storage.FIELD,
                f"holds the backups of {found.database!r} of {held}, not those of "
                f"{database!r} of {where}",
                "Give another place; restores can still read this one",
            )
        return True

    def claim(self, database: str, replica_set: str | None) -> None:
        """Write down whose backups are here."""
        key = None if self.key is None else self.key.name
        values = {
            "format": FORMAT,
            "database": database,
            "replica_set": replica_set,
            "key": key,
        }
        if self.identity() != Identity(database, replica_set, key):
            self.place.put(IDENTITY, json.dumps({**values, "seal": seal_of(values)}).encode())

    def put(self, name: str, packed: Packed) -> FileRecord:
        """Store a packed file; return what is to be written down about it."""
        self.place.put(name, packed.data)
        return FileRecord(
            name=name,
            digest=packed.digest,
            bytes=len(packed.data),
            raw_bytes=packed.raw_bytes,
            documents=packed.documents,
        )

    def put_text(self, name: str, text: str) -> FileRecord:
        """Store a text, packed."""
        raw = text.encode()
        data = packing.pack_bytes(raw, self.key)
        return self.put(name, Packed(data, packing.digest_of(data), len(raw), 0, 0))

    def stored(self, file: FileRecord) -> bytes:
        """Return the bytes of a file as they are stored, once they are checked.

        Raises:
            BackupDamaged: The file is missing or was changed.
        """
        data = self.place.get(file.name)
        if data is None:
            raise errors.BackupDamaged(f"{file.name} is missing", file=file.name)
        if len(data) != file.bytes:
            raise errors.BackupDamaged(
                f"{file.name} has {len(data):,} bytes instead of {file.bytes:,}", file=file.name
            )
        if packing.digest_of(data) != file.digest:
            raise errors.BackupDamaged(f"{file.name} was changed", file=file.name)
        return data

    def read(self, file: FileRecord, key: str | None) -> bytes:
        """Return what is in a file.

        Args:
            file: The file.
            key: The name of the key it was written with.

        Raises:
            BackupDamaged: The file is missing or was changed.
            InvalidInput: The key is another one, or is not given.
        """
        self.check_key(key)
        try:
            raw = packing.unpack(self.stored(file), self.key if key is not None else None)
        except errors.BackupDamaged as damage:
            if damage.details.get("file"):
                raise
            raise errors.BackupDamaged(f"{file.name}: {damage.message}", file=file.name) from None
        if len(raw) != file.raw_bytes:
            raise errors.BackupDamaged(f"{file.name} holds other data", file=file.name)
        return raw

    def documents(self, file: FileRecord, key: str | None) -> list[bytes]:
        """Return the documents in a file.

        Args:
            file: The file.
            key: The name of the key it was written with.

        Raises:
            BackupDamaged: The file is missing or was changed.
            InvalidInput: The key is another one, or is not given.
        """
        raw = self.read(file, key)
        try:
            found = list(split(raw))
        except ValueError as error:
            raise errors.BackupDamaged(f"{file.name}: {error}", file=file.name) from None
        if len(found) != file.documents:
            raise errors.BackupDamaged(
                f"{file.name} holds {len(found):,} documents instead of {file.documents:,}",
                file=file.name,
            )
        return found

    def check_key(self, key: str | None) -> None:
        """Check that files written with a key can be read.

        Raises:
            InvalidInput: The key is another one, has no private part, or is not given.
        """
        if key is None:
            return
        if self.key is None:
            raise errors.InvalidInput(
                KEY_FIELD, f"is not given, and the backup is encrypted (key {key})", "Give the key"
            )
        if self.key.name != key:
            raise errors.InvalidInput(
                KEY_FIELD,
                f"holds key {self.key.name}, the backup is encrypted with key {key}",
                "Give the file of that key",
            )
        self.key.check_opens()

    def backup_ids(self) -> list[str]:
        """Return the names of all full backups, those that were not completed among them."""
        return self.place.names(BACKUPS)

    def full(self, backup_id: str) -> FullManifest | None:
        """Return a full backup; None when it is not there, or was not completed."""
        name = f"{BACKUPS}/{backup_id}/{MANIFEST}"
        data = self.place.get(name)
        if data is None:
            return None
        found = read_manifest(FullManifest, name, data)
        if found.id != backup_id:
            raise errors.BackupDamaged(f"{name} is the manifest of {found.id}", file=name)
        return found

    def put_full(self, manifest: FullManifest) -> FullManifest:
        """Store the manifest of a full backup: from here on it is complete."""
        finished, data = sealed(manifest)
        self.place.put(f"{BACKUPS}/{manifest.id}/{MANIFEST}", data)
        return finished

    def remove_backup(self, backup_id: str) -> None:
        """Remove a full backup: first its manifest, so that it never looks complete."""
        self.place.remove(f"{BACKUPS}/{backup_id}/{MANIFEST}")
        self.place.remove(f"{BACKUPS}/{backup_id}")

    def segment_names(self) -> list[SegmentName]:
        """Return the segments, oldest first, as their names tell them."""
        found = (SegmentName.parse(name) for name in self.place.names(SEGMENTS))
        return sorted(name for name in found if name is not None)

    def segment(self, name: SegmentName) -> SegmentManifest:
        """Return a segment's manifest.

        Raises:
            BackupDamaged: It is missing, was changed, or is that of another segment.
        """
        path = f"{name.stem}{_MANIFEST_END}"
        data = self.place.get(path)
        if data is None:
            raise errors.BackupDamaged(f"{path} is missing", file=path)
        found = read_manifest(SegmentManifest, path, data)
        if SegmentName(found.after, found.through) != name:
            raise errors.BackupDamaged(f"{path} is the manifest of another segment", file=path)
        return found

    def stepped_names(self) -> list[SegmentName]:
        """Return the segments in which the clock of the primary went back."""
        found = (SegmentName.parse(name) for name in self.place.names(STEPS))
        return sorted(name for name in found if name is not None)

    def put_segment(self, manifest: SegmentManifest) -> SegmentManifest:
        """Store a segment's manifest: from here on it is there."""
        finished, data = sealed(manifest)
        name = SegmentName(manifest.after, manifest.through)
        if manifest.clock_steps:
            # A restore to a moment must know of all of them, and cannot read every manifest.
            self.place.put(f"{STEPS}/{name.after}_{name.through}{_MANIFEST_END}", b"{}")
        self.place.put(f"{name.stem}{_MANIFEST_END}", data)
        return finished

    def remove_segment(self, name: SegmentName) -> None:
        """Remove a segment: first its manifest."""
        self.place.remove(f"{name.stem}{_MANIFEST_END}")
        self.place.remove(f"{STEPS}/{name.after}_{name.through}{_MANIFEST_END}")
        for end in (packing.suffix(None), ".zst.age"):
            self.place.remove(f"{name.stem}.bson{end}")
