"""Turns ranked entries into hits, from the messages as they are now.

An entry may be older than its message. Messages that were deleted, have expired, or were edited so
that they no longer match are dropped here. So an index that is behind can miss a message, but never
shows one that must not be seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from message_service.catalogue.queries.search import HITS
from message_service.database.scope import Scope
from message_service.documents.row import Row
from message_service.enrichment.language import UNDETERMINED
from message_service.enrichment.words import analyse
from message_service.messages.parts import found_by
from message_service.messages.rows import StoredMessage
from message_service.search import ranking
from message_service.search.parsing import Clause, ClauseKind, ParsedQuery
from message_service.search.ranking import Scored
from message_service.search.results import Hit, Matched
from message_service.search.snippets import make_snippet


async def read_messages(scope: Scope, entries: Sequence[Row]) -> dict[str, Row]:
    """Return the messages of entries, by id, as they are now."""
    if not entries:
        return {}
    rows = await scope.find(
        HITS,
        conversation_ids=list({entry["conversation_id"] for entry in entries}),
        message_ids=[entry["message_id"] for entry in entries],
    )
    asked = {(entry["conversation_id"], entry["message_id"]) for entry in entries}
    return {
        row["message_id"]: row
        for row in rows
        if (row["conversation_id"], row["message_id"]) in asked
    }


def is_shown(message: Row, now: datetime, *, hidden: bool = False) -> bool:
    """Whether a message may be shown: neither deleted nor expired, nor hidden unless asked for."""
    if message["status"] == "deleted" or (message["status"] == "hidden" and not hidden):
        return False
    delete_at: datetime | None = message.get("delete_at")
    return delete_at is None or delete_at > now


def fits(parsed: ParsedQuery, normalized: str, matched: Matched) -> bool:
    """Whether a text has the phrases of the query and none of the excluded phrases."""
    if any(
        ranking.holds(clause, normalized)
        for clause in parsed.excluded
        if clause.kind is ClauseKind.PHRASE
    ):
        return False
    if matched == "some":
        return True
    return all(
        ranking.holds(clause, normalized)
        for clause in parsed.clauses
        if clause.kind is ClauseKind.PHRASE
    )


def make_hit(parsed: ParsedQuery, scored: Scored, message: Row, matched: Matched) -> Hit | None:
    """Return a hit, unless the message was edited since and no longer matches."""
    language = message["content"].get("detected_language", UNDETERMINED)
    text = found_by(message["content"])
    if message["content"].get("content_hash") != scored.entry.get("content_hash"):
        words = analyse(text, language)
        terms = set(words.terms)
        missing = [clause for clause in _worded(parsed.clauses) if not _present(clause, terms)]
        present = [clause for clause in _worded(parsed.excluded) if _present(clause, terms)]
        if present or (missing if matched == "all" else len(missing) == len(parsed.clauses)):
            return None
        if not fits(parsed, words.normalized, matched):
            return None
    return Hit(
        message=StoredMessage(message),
        score=scored.score,
        snippet=make_snippet(text, parsed.clauses, language),
        explanation=scored.explanation,
    )


def _worded(clauses: Sequence[Clause]) -> list[Clause]:
    """Return the clauses that a text can match: all but features and topics."""
    return [clause for clause in clauses if clause.kind is not ClauseKind.LABEL]


def _present(clause: Clause, terms: set[str]) -> bool:
    if clause.prefix is not None:
        return any(term.startswith(clause.prefix) for term in terms)
    return all(any(form in terms for form in forms) for forms in clause.lookups)
