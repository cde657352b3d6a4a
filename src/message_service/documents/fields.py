"""The building blocks documents are made of: bounded types, embedded models, the Beanie base.

Everything a validator needs (types, ranges, lengths, patterns, enumerations) is said here and on
the fields once; `catalogue.validators` reads it from the models.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from beanie import DecimalAnnotation, Document
from beanie.odm.utils.encoder import Encoder
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from message_service import clock
from message_service.ids import BRANCH_PATTERN, TENANT_PATTERN, IdKind

MAX_TEXT_CODE_POINTS = 50_000
"""The source design's limit on message text; MongoDB's `maxLength` counts code points."""

MAX_TEXT_BYTES = 160_000
"""Bound on the UTF-8 size: 50,000 three-byte (CJK) characters and some; 40,000 emoji."""


def _aware(moment: datetime) -> datetime:
    if moment.utcoffset() is None:
        raise ValueError("the datetime has no time zone; pass an aware one")
    return clock.to_milliseconds(moment.astimezone(UTC))


Moment = Annotated[datetime, AfterValidator(_aware)]
"""An aware datetime, held as UTC milliseconds."""

Count = Annotated[int, Field(ge=0, le=2**63 - 1)]
"""A non-negative whole number; BSON int or long."""

Milliseconds = Count
"""A duration in whole milliseconds."""

Score = Annotated[float, Field(ge=0, le=1)]
"""A number from 0 to 1."""

Money = Annotated[DecimalAnnotation, Field(ge=0)]
"""An exact non-negative amount; BSON Decimal128, because doubles drift when added up."""

Name = Annotated[str, StringConstraints(max_length=256)]
"""A short string."""

Note = Annotated[str, StringConstraints(max_length=10_000)]
"""A longer string that is not message text."""

Labels = Annotated[list[Name], Field(max_length=1_000)]
"""A list of short strings."""

Digest = Annotated[str, StringConstraints(max_length=128)]
"""`sha256:` and a hexadecimal digest (shorter forms are accepted from outside)."""


def _id(kind: IdKind) -> StringConstraints:
    # \A and \z cannot be used: Python < 3.14 spells the end \Z and MongoDB (PCRE) \z. The
    # catalogue adds the anchors for the server; pydantic's Rust regex has no newline trap at $.
    return StringConstraints(pattern=rf"^{kind.pattern}$")


MessageId = Annotated[str, _id(IdKind.MESSAGE)]
ConversationId = Annotated[str, _id(IdKind.CONVERSATION)]
UserId = Annotated[str, _id(IdKind.USER)]
CharacterId = Annotated[str, _id(IdKind.CHARACTER)]
JobId = Annotated[str, _id(IdKind.JOB)]
TenantId = Annotated[str, StringConstraints(pattern=rf"^{TENANT_PATTERN}$")]
BranchName = Annotated[str, StringConstraints(pattern=rf"^{BRANCH_PATTERN}$")]


class Embedded(BaseModel):
    """A sub-document with a closed list of fields."""

    model_config = ConfigDict(extra="forbid", validate_assignment=True)


class OpenEmbedded(BaseModel):
    """A sub-document users may extend with fields of their own."""

    model_config = ConfigDict(extra="allow", validate_assignment=True)


class StoredDocument(Document):
    """A top-level document: a Beanie document that needs no database to be validated.

    Beanie binds a class to one database for the whole process, while one process may hold several
    services. So the service validates with these classes and writes with targeted updates of its
    own; binding them with `init_beanie(..., skip_indexes=True)` is left to users who want
    Beanie's queries.
    """

    model_config = ConfigDict(extra="forbid", validate_assignment=True)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # Document.__init__ only adds a check that init_beanie has run.
        super(Document, self).__init__(*args, **kwargs)

    def to_bson(self) -> dict[str, Any]:
        """Return what is stored: no nulls, exact decimals, no `_id` unless it is set."""
        values = self.model_dump(exclude_none=True, exclude={"id"})
        encoded: dict[str, Any] = Encoder(keep_nulls=False).encode(values)
        if self.id is not None:
            encoded["_id"] = self.id
        return encoded
