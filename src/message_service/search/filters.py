"""The filters of the query language, and the features `has:` knows, declared once.

The parser, the indexer, the help text and the reference all read these tables.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from message_service import errors
from message_service.documents.message import MessageType, Role
from message_service.ids import IdKind, check_id

Row = dict[str, Any]
Condition = Mapping[str, Any]

_LINK = re.compile(r"https?://\S")
_LABEL = re.compile(r"[\w.:/@+ -]{1,256}")


@dataclass(frozen=True, slots=True)
class Filter:
    """One filter of the query language.

    Attributes:
        name: What stands before the colon.
        means: One line of help.
        example: A value that shows its form.
        condition: Checks a value and returns the condition on search entries it stands for.
    """

    name: str
    means: str
    example: str
    condition: Callable[[str], Condition]


@dataclass(frozen=True, slots=True)
class Feature:
    """Something a message can have.

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


FEATURES: tuple[Feature, ...] = (
    Feature("link", "an http link", lambda row: _LINK.search(row["content"]["text"]) is not None),
    Feature("code", "a code block", lambda row: "```" in row["content"]["text"]),
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
    """Return the index term of a feature; no word can be one, because of its colon."""
    return f"has:{name}"


def topic_term(name: str) -> str:
    """Return the index term of a topic."""
    return f"topic:{name}"


def _invalid(name: str, problem: str, fix: str) -> errors.InvalidQuery:
    return errors.InvalidQuery(f"query.{name}", problem, fix)


def _one_of(name: str, path: str, allowed: type[StrEnum]) -> Callable[[str], Condition]:
    def condition(value: str) -> Condition:
        known = [str(member) for member in allowed]
        if value.lower() not in known:
            raise _invalid(name, f"is none of them: {value[:40]!r}", f"Use {', '.join(known)}")
        return {path: value.lower()}

    return condition


def _label(name: str, path: str) -> Callable[[str], Condition]:
    def condition(value: str) -> Condition:
        if _LABEL.fullmatch(value) is None:
            raise _invalid(
                name, "has characters no such name has", "Use letters, digits and -_./:@+"
            )
        return {path: value}

    return condition


def _identifier(name: str, kind: IdKind, path: str) -> Callable[[str], Condition]:
    def condition(value: str) -> Condition:
        return {path: check_id(kind, f"query.{name}", value)}

    return condition


def _language(value: str) -> Condition:
    if re.fullmatch(r"[A-Za-z]{2,3}", value) is None:
        raise _invalid("lang", f"is no language code: {value[:40]!r}", "Use ISO 639-1: en, es, zh")
    return {"search_metadata.language": value.lower()}


def _moment(name: str, value: str) -> tuple[datetime, bool]:
    """Return the moment and whether only a day was named."""
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise _invalid(
            name, f"is no date: {value[:40]!r}", "Use 2025-01-31 or 2025-01-31T12:00:00Z"
        ) from None
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    try:
        return aware.astimezone(UTC), len(value) <= len("2025-01-31")
    except OverflowError:
        raise _invalid(
            name, f"is out of range: {value!r}", "Use a year from 1970 to 2100"
        ) from None


def _from(value: str) -> Condition:
    return {"created_at": {"$gte": _moment("from", value)[0]}}


def _to(value: str) -> Condition:
    moment, whole_day = _moment("to", value)
    if not whole_day:
        return {"created_at": {"$lte": moment}}
    try:
        return {"created_at": {"$lt": moment + timedelta(days=1)}}
    except OverflowError:
        raise _invalid(
            "to", f"is out of range: {value!r}", "Use a year from 1970 to 2100"
        ) from None


def _has(value: str) -> Condition:
    known = [feature.name for feature in FEATURES]
    if value.lower() not in known:
        raise _invalid("has", f"is none of them: {value[:40]!r}", f"Use {', '.join(known)}")
    return {"indexed_content.terms": feature_term(value.lower())}


def _topic(value: str) -> Condition:
    checked = _label("topic", "")(value.lower())[""]
    return {"indexed_content.terms": topic_term(checked)}


FILTERS: tuple[Filter, ...] = (
    Filter("role", "who speaks", "user", _one_of("role", "search_metadata.role", Role)),
    Filter(
        "type",
        "kind of message",
        "standard",
        _one_of("type", "search_metadata.message_type", MessageType),
    ),
    Filter("model", "model that answered", "gpt-4o", _label("model", "search_metadata.model")),
    Filter("provider", "its provider", "openai", _label("provider", "search_metadata.provider")),
    Filter("lang", "language of the text", "es", _language),
    Filter("from", "said at or after (UTC)", "2025-01-01", _from),
    Filter("to", "said up to, a day included", "2025-01-31", _to),
    Filter(
        "conversation",
        "in this conversation",
        "conv_01J...",
        _identifier("conversation", IdKind.CONVERSATION, "conversation_id"),
    ),
    Filter("user", "of this user", "user_01J...", _identifier("user", IdKind.USER, "user_id")),
    Filter(
        "character",
        "with this character",
        "char_01J...",
        _identifier("character", IdKind.CHARACTER, "search_metadata.character_id"),
    ),
    Filter("has", "has this: " + ", ".join(f.name for f in FEATURES), "link", _has),
    Filter("topic", "about this topic", "travel", _topic),
    Filter("intent", "what it wants", "question", _label("intent", "search_metadata.intent")),
    Filter(
        "sentiment",
        "positive, neutral or negative",
        "negative",
        _label("sentiment", "search_metadata.sentiment"),
    ),
)

FILTER_BY_NAME = {known.name: known for known in FILTERS}
