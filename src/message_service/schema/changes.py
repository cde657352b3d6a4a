"""The types of a plan."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Literal

from message_service.catalogue.model import Index


class ChangeKind(StrEnum):
    """The kinds of changes, in the order they are carried out: additions first, removals last."""

    CREATE_COLLECTION = "create_collection"
    SET_VALIDATOR = "set_validator"
    CREATE_INDEX = "create_index"
    STOP_PREPARE_UNIQUE = "stop_prepare_unique"
    UNHIDE_INDEX = "unhide_index"
    CHANGE_TTL = "change_ttl"
    CONVERT_UNIQUE = "convert_unique"
    CREATE_VIEW = "create_view"
    CHANGE_VIEW = "change_view"
    PROMOTE_VALIDATOR = "promote_validator"
    REPLACE_INDEX = "replace_index"
    HIDE_INDEX = "hide_index"
    DROP_INDEX = "drop_index"
    DROP_VIEW = "drop_view"
    SHARD_COLLECTION = "shard_collection"
    WRONG_KIND = "wrong_kind"
    FOREIGN_OPTIONS = "foreign_options"
    UNKNOWN_COLLECTION = "unknown_collection"
    RECORD_VERSION = "record_version"

    @property
    def removes(self) -> bool:
        """Whether the change removes something; then it is not done after a failure."""
        return self in {
            ChangeKind.REPLACE_INDEX,
            ChangeKind.HIDE_INDEX,
            ChangeKind.DROP_INDEX,
            ChangeKind.DROP_VIEW,
        }


Risk = Literal["none", "low", "high"]

By = Literal["apply", "drop_retired", "drop_unknown", "shard", "hand"]
"""Who removes the difference: `db apply`, apply with a flag, `db shard`, or a person."""


@dataclass(frozen=True, slots=True)
class Change:
    """One difference, and the change that removes it.

    Attributes:
        kind: The kind of change.
        collection: The collection (or view) concerned.
        target: The index, view or collection that changes.
        risk: "none": nothing can be lost; "low": it costs work, or some writes may be refused;
            "high": documents are deleted, or queries lose their index for a while.
        reason: The reason, in a sentence.
        by: The command, or the operator, that makes the change.
        documents: Number of documents it reads or checks or, for a TTL, deletes at once.
        index: The declared index, for changes of one.
        drops: Live indexes that must go before it can be built.
    """

    kind: ChangeKind
    collection: str
    target: str
    risk: Risk
    reason: str
    by: By = "apply"
    documents: int = 0
    index: Index | None = None
    drops: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {
            "kind": self.kind.value,
            "collection": self.collection,
            "target": self.target,
            "risk": self.risk,
            "reason": self.reason,
            "by": self.by,
            "documents": self.documents,
        }


@dataclass(frozen=True, slots=True)
class Plan:
    """Every difference between a database and the catalogue.

    Attributes:
        changes: In the order they are carried out.
        stored_version: The version the database says it has.
        declared_version: The version of the catalogue.
    """

    changes: tuple[Change, ...]
    stored_version: int | None
    declared_version: int

    @property
    def empty(self) -> bool:
        """Whether the database is exactly as declared."""
        return not self.changes

    def to_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {
            "stored_version": self.stored_version,
            "declared_version": self.declared_version,
            "changes": [change.to_json() for change in self.changes],
        }
