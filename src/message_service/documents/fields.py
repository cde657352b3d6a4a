"""The building blocks documents are made of: bounded types, embedded models, the Beanie base.

Everything a validator needs (types, ranges, lengths, patterns, enumerations) is said here and on
the fields once; `catalogue.validators` reads it from the models.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any

from beanie import DecimalAnnotation, Document
from beanie.odm.utils.encoder import Encoder
from bson import Decimal128
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Strict,
    StringConstraints,
)

from message_service import clock
from message_service.arguments import is_unicode
from message_service.ids import BRANCH_PATTERN, TENANT_PATTERN, IdKind

MAX_TEXT_CODE_POINTS = 50_000
"""The source design's limit on message text; MongoDB's `maxLength` counts code points."""

MAX_NAME = 256
"""Most characters of a short string."""

MAX_DIGEST = 128

MAX_TEXT_BYTES = 160_000
"""Bound on the UTF-8 size: 50,000 three-byte (CJK) characters and some; 40,000 emoji."""


def _aware(moment: datetime) -> datetime:
    if moment.utcoffset() is None:
        raise ValueError("the datetime has no time zone; pass an aware one")
    try:
        return clock.to_milliseconds(moment.astimezone(UTC))
    except OverflowError:
        raise ValueError("the datetime lies outside the years 1 to 9999 in UTC") from None


def _said(moment: datetime) -> datetime:
    problem = clock.why_not_storable(moment)
    if problem is not None:
        raise ValueError(problem[0])
    return moment


def _number(value: object) -> object:
    if isinstance(value, (bool, bytes, bytearray)):
        raise ValueError("is not a number")
    return value


def _text(value: object) -> object:
    # pydantic would decode bytes, in an encoding nobody named.
    if isinstance(value, (bytes, bytearray)):
        raise ValueError("is bytes, not a string")
    if isinstance(value, str) and not is_unicode(value):
        raise ValueError("has a lone surrogate, which UTF-8 cannot express")
    return value


def _decimal128(value: Decimal) -> Decimal:
    try:
        Decimal128(value)
    except ArithmeticError:
        raise ValueError("has more than 34 digits or too large an exponent") from None
    return value


# They come last in a type: a constraint behind them would not be in the schema, and so not in the
# server's validator.
_ANumber = BeforeValidator(_number)
_AnyText = BeforeValidator(_text)
_AText = Strict()
"""No bytes; pydantic itself refuses lone surrogates in a string that has a bound or a pattern."""


Moment = Annotated[datetime, AfterValidator(_aware)]
"""An aware datetime, held as UTC milliseconds."""

SaidAt = Annotated[datetime, AfterValidator(_aware), AfterValidator(_said)]
"""A moment a caller names: as `Moment`, from 1900 to 2999."""

Count = Annotated[int, Field(ge=0, le=2**63 - 1), _ANumber]
"""A non-negative whole number; BSON int or long."""

Milliseconds = Count
"""A duration in whole milliseconds."""

Score = Annotated[float, Field(ge=0, le=1), _ANumber]
"""A number from 0 to 1."""

Money = Annotated[DecimalAnnotation, Field(ge=0), AfterValidator(_decimal128), _ANumber]
"""An exact non-negative amount; BSON Decimal128, because doubles drift when added up."""

Text = Annotated[str, _AnyText]
"""A string of any length."""

Name = Annotated[str, StringConstraints(max_length=MAX_NAME), _AText]
"""A short string."""

Note = Annotated[str, StringConstraints(max_length=10_000), _AText]
"""A longer string that is not message text."""

Labels = Annotated[list[Name], Field(max_length=1_000)]
"""A list of short strings."""

Digest = Annotated[str, StringConstraints(max_length=MAX_DIGEST), _AText]
"""`sha256:` and a hexadecimal digest (shorter forms are accepted from outside)."""


def _id(kind: IdKind) -> StringConstraints:
    # \A and \z cannot be used: Python < 3.14 spells the end \Z and MongoDB (PCRE) \z. The
    # catalogue adds the anchors for the server; pydantic's Rust regex has no newline trap at $.
    return StringConstraints(pattern=rf"^{kind.pattern}$")


MessageId = Annotated[str, _id(IdKind.MESSAGE), _AText]
ConversationId = Annotated[str, _id(IdKind.CONVERSATION), _AText]
UserId = Annotated[str, _id(IdKind.USER), _AText]
CharacterId = Annotated[str, _id(IdKind.CHARACTER), _AText]
JobId = Annotated[str, _id(IdKind.JOB), _AText]
TenantId = Annotated[str, StringConstraints(pattern=rf"^{TENANT_PATTERN}$"), _AText]
BranchName = Annotated[str, StringConstraints(pattern=rf"^{BRANCH_PATTERN}$"), _AText]


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
