"""The filters of the query language, and the features `has:` knows, declared once.

The parser, the indexer, the help text and the reference all read these tables.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from message_service import errors
from message_service.catalogue.demands import AnyTerm, Demand, EntryField, FieldIs, Said
from message_service.documents.message import MessageStatus, MessageType, Role
from message_service.documents.row import Row
from message_service.ids import IdKind, check_id

_LINK = re.compile(r"https?://\S")
_LABEL = re.compile(r"[\w.:/@+ -]{1,256}")


@dataclass(frozen=True, slots=True)
class QueryFilter:
    """One filter of the query language.

    Attributes:
        name: The word before the colon.
        means: One line of help.
        example: An example value.
        demand: Checks a value and returns the demand on search entries.
    """

    name: str
    means: str
    example: str
    demand: Callable[[str], Demand]


@dataclass(frozen=True, slots=True)
class Feature:
    """A feature of a message, asked for with `has:`.

    Attributes:
        name: The value of `has:`.
        means: One line of help.
        present: Whether a message (as the indexer reads it) has it.
    """

    name: str
    means: str
    present: Callable[[Row], bool]


def _group(row: Row, name: str) -> Row:
    return row.get(name) or {}


def _holds(row: Row, *types: str) -> bool:
    return any(part["type"] in types for part in row["content"].get("parts") or ())


FEATURES: tuple[Feature, ...] = (
    Feature("link", "an http link", lambda row: _LINK.search(row["content"]["text"]) is not None),
    Feature("code", "a code block", lambda row: "```" in row["content"]["text"]),
    Feature(
        "tool",
        "a tool call or a tool's answer",
        lambda row: row["role"] == Role.TOOL or _holds(row, "tool_call", "tool_result"),
    ),
    Feature("attachment", "a file", lambda row: _holds(row, "attachment")),
    Feature("reasoning", "what the model thought", lambda row: _holds(row, "reasoning")),
    Feature("pin", "is pinned", lambda row: bool(row.get("pinned"))),
    Feature(
        "feedback",
        "a reader's feedback",
        lambda row: "user_feedback" in _group(row, "quality_metadata"),
    ),
    Feature(
        "bookmark",
        "is bookmarked",
        lambda row: bool(_group(row, "custom_metadata").get("bookmarked")),
    ),
    Feature(
        "issue",
        "an issue found by the safety enricher",
        lambda row: bool(_group(row, "safety_metadata").get("detected_issues")),
    ),
    Feature(
        "review",
        "waits for a person's review",
        lambda row: bool(_group(row, "safety_metadata").get("manual_review_required")),
    ),
)


def feature_term(name: str) -> str:
    """Return the index term of a feature; because of its colon, no word equals it."""
    return f"has:{name}"


def topic_term(name: str) -> str:
    """Return the index term of a topic."""
    return f"topic:{name}"


def _invalid(name: str, problem: str, fix: str) -> errors.InvalidQuery:
    return errors.InvalidQuery(f"query.{name}", problem, fix)


def _one_of(name: str, field: EntryField, allowed: type[StrEnum]) -> Callable[[str], Demand]:
    def demand(value: str) -> Demand:
        known = [str(member) for member in allowed]
        if value.lower() not in known:
            raise _invalid(name, f"is not one of them: {value[:40]!r}", f"Use {', '.join(known)}")
        return FieldIs(field, value.lower())

    return demand


def _status(value: str) -> Demand:
    # Deleted messages are not indexed.
    known = [status.value for status in MessageStatus if status is not MessageStatus.DELETED]
    if value.lower() not in known:
        raise _invalid("status", f"is not one of them: {value[:40]!r}", f"Use {', '.join(known)}")
    return FieldIs(EntryField.STATUS, value.lower())


HIDDEN_ONLY = _status(MessageStatus.HIDDEN)
"""The demand that a message is hidden."""


def _check_label(name: str, value: str) -> str:
    if _LABEL.fullmatch(value) is None:
        raise _invalid(name, "has characters no such name has", "Use letters, digits and -_./:@+")
    return value


def _label(name: str, field: EntryField) -> Callable[[str], Demand]:
    return lambda value: FieldIs(field, _check_label(name, value))


def _identifier(name: str, kind: IdKind, field: EntryField) -> Callable[[str], Demand]:
    return lambda value: FieldIs(field, check_id(kind, f"query.{name}", value))


def _language(value: str) -> Demand:
    if re.fullmatch(r"[A-Za-z]{2,3}", value) is None:
        raise _invalid(
            "lang", f"is not a language code: {value[:40]!r}", "Use ISO 639-1: en, es, zh"
        )
    return FieldIs(EntryField.LANGUAGE, value.lower())


def _moment(name: str, value: str) -> tuple[datetime, bool]:
    """Return the moment and whether only a day was named."""
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise _invalid(
            name, f"is not a date: {value[:40]!r}", "Use 2025-01-31 or 2025-01-31T12:00:00Z"
        ) from None
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    try:
        return aware.astimezone(UTC), len(value) <= len("2025-01-31")
    except OverflowError:
        raise _invalid(
            name, f"is out of range: {value!r}", "Use a year from 1970 to 2100"
        ) from None


def _from(value: str) -> Demand:
    return Said(since=_moment("from", value)[0])


def _to(value: str) -> Demand:
    moment, whole_day = _moment("to", value)
    if not whole_day:
        return Said(until=moment)
    try:
        return Said(until=moment + timedelta(days=1), until_included=False)
    except OverflowError:
        raise _invalid(
            "to", f"is out of range: {value!r}", "Use a year from 1970 to 2100"
        ) from None


def _has(value: str) -> Demand:
    known = [feature.name for feature in FEATURES]
    if value.lower() not in known:
        raise _invalid("has", f"is not one of them: {value[:40]!r}", f"Use {', '.join(known)}")
    return AnyTerm((feature_term(value.lower()),))


def _topic(value: str) -> Demand:
    return AnyTerm((topic_term(_check_label("topic", value.lower())),))


FILTERS: tuple[QueryFilter, ...] = (
    QueryFilter("role", "who speaks", "user", _one_of("role", EntryField.ROLE, Role)),
    QueryFilter(
        "type",
        "kind of message",
        "standard",
        _one_of("type", EntryField.MESSAGE_TYPE, MessageType),
    ),
    QueryFilter("model", "model that answered", "gpt-4o", _label("model", EntryField.MODEL)),
    QueryFilter("provider", "its provider", "openai", _label("provider", EntryField.PROVIDER)),
    QueryFilter("lang", "language of the text", "es", _language),
    QueryFilter("from", "said at or after (UTC)", "2025-01-01", _from),
    QueryFilter("to", "said up to, a day included", "2025-01-31", _to),
    QueryFilter(
        "conversation",
        "in this conversation",
        "conv_01J...",
        _identifier("conversation", IdKind.CONVERSATION, EntryField.CONVERSATION),
    ),
    QueryFilter(
        "user", "of this user", "user_01J...", _identifier("user", IdKind.USER, EntryField.USER)
    ),
    QueryFilter(
        "character",
        "with this character",
        "char_01J...",
        _identifier("character", IdKind.CHARACTER, EntryField.CHARACTER),
    ),
    QueryFilter("status", "state of the message", "hidden", _status),
    QueryFilter("has", "has this: " + ", ".join(f.name for f in FEATURES), "link", _has),
    QueryFilter("topic", "about this topic", "travel", _topic),
    QueryFilter("intent", "what it wants", "question", _label("intent", EntryField.INTENT)),
    QueryFilter(
        "sentiment",
        "positive, neutral or negative",
        "negative",
        _label("sentiment", EntryField.SENTIMENT),
    ),
)

FILTER_BY_NAME = {known.name: known for known in FILTERS}
