"""The building blocks of documents: bounded types, embedded models, the Beanie base class.

Everything a validator needs (types, ranges, lengths, patterns, enumerations) is declared once, here
and on the fields; `catalogue.validators` reads it from the models.
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
"""Bound on the UTF-8 size: a little over 50,000 three-byte (CJK) characters, or 40,000 emoji."""


def _aware(moment: datetime) -> datetime:
    if moment.tzinfo is UTC:  # the common case, at once
        return clock.to_milliseconds(moment)
    if moment.utcoffset() is None:
        raise ValueError("the datetime has no time zone; pass an aware datetime")
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
    # Otherwise pydantic would decode bytes, although the caller named no encoding.
    if isinstance(value, (bytes, bytearray)):
        raise ValueError("is bytes, not a string")
    if isinstance(value, str) and not is_unicode(value):
        raise ValueError("has a lone surrogate, which UTF-8 cannot encode")
    return value


def _decimal128(value: Decimal) -> Decimal:
    try:
        Decimal128(value)
    except ArithmeticError:
        raise ValueError("has more than 34 digits or too large an exponent") from None
    return value


# These come last in a type: a constraint after them would be missing from the schema, and therefore
# from the server's validator.
_ANumber = BeforeValidator(_number)
_AnyText = BeforeValidator(_text)
_AText = Strict()
"""Refuses bytes; pydantic itself refuses lone surrogates where there is a bound or a pattern."""


Moment = Annotated[datetime, AfterValidator(_aware)]
"""An aware datetime, held as UTC milliseconds."""

SaidAt = Annotated[datetime, AfterValidator(_aware), AfterValidator(_said)]
"""A moment given by a caller: a `Moment` in the years 1900 to 2999."""

Count = Annotated[int, Field(ge=0, le=2**63 - 1), _ANumber]
"""A non-negative whole number; BSON int or long."""

Milliseconds = Count
"""A duration in whole milliseconds."""

Score = Annotated[float, Field(ge=0, le=1), _ANumber]
"""A number from 0 to 1."""

Money = Annotated[DecimalAnnotation, Field(ge=0), AfterValidator(_decimal128), _ANumber]
"""An exact non-negative amount; BSON Decimal128, because sums of doubles accumulate errors."""

Text = Annotated[str, _AnyText]
"""A string of any length."""

Name = Annotated[str, StringConstraints(max_length=MAX_NAME), _AText]
"""A short string."""

Note = Annotated[str, StringConstraints(max_length=10_000), _AText]
"""A longer string that is not message text."""

Labels = Annotated[list[Name], Field(max_length=1_000)]
"""A list of short strings."""

Digest = Annotated[str, StringConstraints(max_length=MAX_DIGEST), _AText]
"""`sha256:` and a hexadecimal digest (callers may pass shorter forms)."""


def _id(kind: IdKind) -> StringConstraints:
    # \A and \z cannot be used: the end of the text is \Z in Python < 3.14 and \z in MongoDB (PCRE).
    # The catalogue adds the server's anchors; in pydantic's Rust regex, $ does not match before a
    # final newline.
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
    """A sub-document that users may extend with their own fields."""

    model_config = ConfigDict(extra="allow", validate_assignment=True)


class StoredDocument(Document):
    """A top-level document: a Beanie document that can be validated without a database.

    Beanie binds a class to one database for the whole process, while one process may hold several
    services. Therefore the service validates with these classes and writes with its own targeted
    updates; users who want Beanie's queries bind them with `init_beanie(..., skip_indexes=True)`.
    """

    model_config = ConfigDict(extra="forbid", validate_assignment=True)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # Document.__init__ is skipped: it only adds a check that init_beanie has run.
        super(Document, self).__init__(*args, **kwargs)

    def to_bson(self) -> dict[str, Any]:
        """Return the document to store: no nulls, exact decimals, no `_id` unless it is set."""
        values = self.model_dump(exclude_none=True, exclude={"id"})
        encoded: dict[str, Any] = Encoder(keep_nulls=False).encode(values)
        if self.id is not None:
            encoded["_id"] = self.id
        return encoded
