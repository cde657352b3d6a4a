"""Demands of a search on search entries, and the conditions they are translated to.

Search builds demands; only this module knows the fields of an entry. Values are only compared, so
they cannot become operators.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from message_service.database.query import Filter

TERMS = "indexed_content.terms"
_LAST = "\U0010ffff"


class EntryField(StrEnum):
    """The fields of an entry a search can compare; the value is the field's path."""

    CONVERSATION = "conversation_id"
    USER = "user_id"
    ROLE = "search_metadata.role"
    MESSAGE_TYPE = "search_metadata.message_type"
    MODEL = "search_metadata.model"
    PROVIDER = "search_metadata.provider"
    LANGUAGE = "search_metadata.language"
    CHARACTER = "search_metadata.character_id"
    INTENT = "search_metadata.intent"
    SENTIMENT = "search_metadata.sentiment"
    STATUS = "search_metadata.status"


@dataclass(frozen=True, slots=True)
class AnyTerm:
    """The entry holds at least one of these terms."""

    terms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TermPrefix:
    """The entry holds a term that begins with this prefix."""

    prefix: str


@dataclass(frozen=True, slots=True)
class FieldIs:
    """A field of the entry has this value."""

    field: EntryField
    value: str


@dataclass(frozen=True, slots=True)
class Said:
    """The message was said in a period.

    Attributes:
        since: Its beginning, included; None leaves it open.
        until: Its end; None leaves it open.
        until_included: Whether `until` itself belongs to the period.
    """

    since: datetime | None = None
    until: datetime | None = None
    until_included: bool = True


@dataclass(frozen=True, slots=True)
class SearchableSince:
    """The text was searchable at this moment, so that it cannot appear between two pages."""

    moment: datetime


@dataclass(frozen=True, slots=True)
class NotExpired:
    """The entry is not past its date of deletion at this moment."""

    now: datetime


@dataclass(frozen=True, slots=True)
class Not:
    """The entry does not meet a demand."""

    demand: Demand


Demand = AnyTerm | TermPrefix | FieldIs | Said | SearchableSince | NotExpired | Not


def condition(demand: Demand) -> Filter:
    """Return the condition on entries for a demand."""
    match demand:
        case AnyTerm(terms):
            return {TERMS: any_of(terms)}
        case TermPrefix(prefix):
            return {TERMS: begins_with(prefix)}
        case FieldIs(field, value):
            return {field.value: value}
        case Said(since, until, until_included):
            bounds: dict[str, Any] = {}
            if since is not None:
                bounds["$gte"] = since
            if until is not None:
                bounds["$lte" if until_included else "$lt"] = until
            return {"created_at": bounds}
        case SearchableSince(moment):
            known = {"$lte": moment}
            # Entries written before `content_indexed_at` existed have `last_indexed_at` only.
            older = {"content_indexed_at": {"$exists": False}, "last_indexed_at": known}
            return {"$or": [{"content_indexed_at": known}, older]}
        case NotExpired(now):
            return {"delete_at": {"$not": {"$lte": now}}}
        case Not(AnyTerm(terms)):
            return {TERMS: {"$nin": list(terms)}}
        case Not(inner):
            return {"$nor": [condition(inner)]}


def any_of(terms: tuple[str, ...]) -> Any:
    """Return the condition that the list of terms holds one of these."""
    return terms[0] if len(terms) == 1 else {"$in": list(terms)}


def begins_with(prefix: str) -> Any:
    """Return the condition that the list of terms holds one that begins with a prefix."""
    # $elemMatch applies both bounds to one element; without it they may match two elements.
    return {"$elemMatch": {"$gte": prefix, "$lt": prefix + _LAST}}
