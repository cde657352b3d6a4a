"""Builds what the indexer writes for a message: an update of the message and a search entry."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from message_service.catalogue.follower import BACKLOG, ENRICHED
from message_service.catalogue.followers.enrichment import ENRICHMENT
from message_service.catalogue.marks import marked
from message_service.documents.row import Row
from message_service.enrichment.pipeline import ENRICHMENT_VERSION, MESSAGE_PATHS, Enriched
from message_service.enrichment.text_statistics import sanitize
from message_service.messages.parts import found_by
from message_service.search.entry_ids import entry_id
from message_service.search.filters import FEATURES, feature_term, topic_term

REMOVED_KEPT = timedelta(days=1)
"""Longer than any indexer stays frozen and goes on."""

WEIGHTS_KEPT = timedelta(hours=1)
"""How long a listing is paged through in the order it began with."""

_MOST_EARLIER = 32
_SAFETY = "safety_metadata."
_QUALITY_SCORES = (
    "coherence_score",
    "relevance_score",
    "helpfulness_score",
    "factual_accuracy",
    "language_quality",
)


def is_searchable(message: Row, now: datetime) -> bool:
    """Whether a message belongs in the index: not deleted, not expired, not a tombstone."""
    delete_at: datetime | None = message.get("delete_at")
    return (
        message["status"] != "deleted"
        and message["message_type"] != "tombstone"
        and (delete_at is None or delete_at > now)
    )


def given_paths(message: Row, enriched: Enriched) -> list[str]:
    """Return the paths filled by the caller, which enrichment must not change.

    They are recorded at the first enrichment, because later enrichments cannot tell the caller's
    values from earlier findings. A safety verdict given by the caller is kept as a whole.
    """
    enrichment = _group(message, "enrichment")
    given: list[str] = list(enrichment.get("given", ()))
    if "version" in enrichment:
        return given
    for path in MESSAGE_PATHS:  # also where nothing was found: what was said stays
        if path.startswith("content.") or path in given:
            continue
        whole_group = path.startswith(_SAFETY) and bool(_group(message, "safety_metadata"))
        if whole_group or _value(message, path) is not None:
            given.append(path)
    return given


def message_update(
    message: Row, enriched: Enriched, given: list[str], now: datetime
) -> Mapping[str, Any]:
    """Return the update that stores the findings and takes the message off the work list."""
    changed: Row = {
        "enrichment.version": ENRICHMENT_VERSION,
        "enrichment.enriched_at": now,
    }
    dropped: Row = {**ENRICHMENT.cleared, "enrichment.refused": ""}
    for path in MESSAGE_PATHS:
        if path not in given:
            found = enriched.findings.get(path)
            (dropped if found is None else changed)[path] = "" if found is None else found
    for name, values in (("given", given), ("failed", list(enriched.failed))):
        (changed if values else dropped)[f"enrichment.{name}"] = values or ""
    due = marked(now, message["enrichment"].get("pending", BACKLOG), changed=ENRICHED)
    return {"$set": changed, "$unset": dropped, "$min": due}


def passed_over(reason: str, now: datetime) -> Mapping[str, Any]:
    """Return the update for a message the index cannot take: off the work list, with the reason."""
    return {
        "$set": {
            "enrichment.version": ENRICHMENT_VERSION,
            "enrichment.enriched_at": now,
            "enrichment.failed": [f"index: {reason}"[:256]],
            "enrichment.refused": reason[:256],
        },
        "$unset": ENRICHMENT.cleared,
    }


def search_entry(message: Row, enriched: Enriched, given: list[str], now: datetime) -> Row:
    """Return a message's search entry."""
    known = _merged(message, enriched, given)
    custom, safety = _group(known, "custom_metadata"), _group(known, "safety_metadata")
    llm = _group(message, "llm_metadata")
    words = enriched.words
    features = [feature.name for feature in FEATURES if feature.present(known)]
    topics: list[str] = custom.get("topics") or []
    content: Row = {
        "full_text": _full_text(message["content"]),
        "normalized_text": words.normalized,
        "stemmed_text": words.stemmed,
        "tokens": words.tokens,
        "bigrams": words.bigrams,
        "trigrams": words.trigrams,
        "entities": list(enriched.findings.get("indexed_content.entities", ())),
        "keywords": list(enriched.findings.get("indexed_content.keywords", ())),
        "terms": [
            *words.terms,
            *(feature_term(name) for name in features),
            *(topic_term(str(topic).lower()) for topic in topics),
        ],
    }
    metadata: Row = {
        "language": _group(known, "content").get("detected_language"),
        "sentiment": custom.get("sentiment"),
        "topics": topics or None,
        "intent": custom.get("intent"),
        "role": message["role"],
        "message_type": message["message_type"],
        "status": message["status"],
        "model": llm.get("model"),
        "provider": llm.get("provider"),
        "character_id": message.get("character_id"),
        "features": features or None,
    }
    created_at: datetime = message["timestamps"]["created_at"]
    entry: Row = {
        "_id": entry_id(
            message["tenant_id"], message["conversation_id"], message["message_id"], created_at
        ),
        "tenant_id": message["tenant_id"],
        "message_id": message["message_id"],
        "conversation_id": message["conversation_id"],
        "user_id": message["user_id"],
        "sequence_number": message["sequence_number"],
        "revision": message["revision"],
        "content_hash": message["content"].get("content_hash"),
        "indexed_content": content,
        "search_metadata": {name: value for name, value in metadata.items() if value is not None},
        "search_weights": weights(message, custom, safety),
        "created_at": created_at,
        "last_indexed_at": now,
        "index_version": ENRICHMENT_VERSION,
        "delete_at": message.get("delete_at"),
    }
    return {name: value for name, value in entry.items() if value is not None}


def continued(entry: Row, before: Row | None) -> Row:
    """Return an entry with the fields it takes over from the entry it replaces.

    A listing keeps its order while a reader turns its pages (see `listing`): so an entry records
    since when its text has been searchable, and which weights it had recently.
    """
    now: datetime = entry["last_indexed_at"]
    if before is None or before.get("content_hash") != entry.get("content_hash"):
        return {**entry, "content_indexed_at": now}
    earlier: list[Row] = [
        kept for kept in before.get("earlier_weights", ()) if kept["until"] > now - WEIGHTS_KEPT
    ]
    if before.get("search_weights") != entry["search_weights"]:
        earlier.append({"until": now, "weights": before.get("search_weights") or {}})
    known = {"content_indexed_at": before.get("content_indexed_at", before["last_indexed_at"])}
    if earlier:
        known["earlier_weights"] = earlier[-_MOST_EARLIER:]
    return {**entry, **known}


def removed_entry(message: Row, now: datetime) -> Row:
    """Return the entry that replaces the entry of a message that is no longer searchable.

    It holds the revision and no text: an indexer that was frozen while it held an older state
    cannot overwrite it. The TTL index removes it after `REMOVED_KEPT`.
    """
    created_at: datetime = message["timestamps"]["created_at"]
    return {
        "_id": entry_id(
            message["tenant_id"], message["conversation_id"], message["message_id"], created_at
        ),
        "tenant_id": message["tenant_id"],
        "message_id": message["message_id"],
        "conversation_id": message["conversation_id"],
        "user_id": message["user_id"],
        "revision": message["revision"],
        "indexed_content": {"full_text": ""},
        "created_at": created_at,
        "last_indexed_at": now,
        "index_version": ENRICHMENT_VERSION,
        "removed": True,
        "delete_at": now + REMOVED_KEPT,
    }


def weights(message: Row, custom: Row, safety: Row) -> Row:
    """Return the design's weights, each 0 to 1, 0.5 when nothing is known.

    Importance (the design: from the reader's response): pinned +0.3, bookmarked +0.1, tagged +0.1,
    and up to 0.15 either way by the reader's satisfaction. Engagement (what followed): shared
    +0.25, feedback +0.15, follow-up wanted +0.1. Quality: the mean of the evaluators' scores,
    halved when there are moderation flags. Recency is computed at query time.
    """
    satisfaction = custom.get("user_satisfaction")
    importance = 0.5
    importance += 0.3 * bool(message.get("pinned"))
    importance += 0.1 * bool(custom.get("bookmarked"))
    importance += 0.1 * bool(custom.get("tagged_by_user"))
    if satisfaction is not None:
        importance += 0.3 * (satisfaction - 0.5)
    scores = _group(message, "quality_metadata")
    engagement = 0.5
    engagement += 0.25 * bool(custom.get("shared"))
    engagement += 0.15 * ("user_feedback" in scores)
    engagement += 0.1 * bool(custom.get("follow_up_required"))
    rated = [scores[name] for name in _QUALITY_SCORES if scores.get(name) is not None]
    quality = sum(rated) / len(rated) if rated else 0.5
    if safety.get("moderation_flags"):
        quality /= 2
    return {
        "importance_score": round(min(1.0, importance), 4),
        "engagement_score": round(min(1.0, engagement), 4),
        "quality_score": round(min(1.0, max(0.0, quality)), 4),
    }


def _full_text(content: Row) -> str:
    if content.get("parts"):
        return sanitize(found_by(content))
    return content.get("sanitized_text") or content["text"]


def _merged(message: Row, enriched: Enriched, given: list[str]) -> Row:
    """Return the message as it will be after the findings are stored."""
    known = {
        **message,
        **{
            name: dict(_group(message, name))
            for name in ("content", "custom_metadata", "safety_metadata")
        },
    }
    for path, value in enriched.findings.items():
        group, _, name = path.partition(".")
        if group in ("content", "custom_metadata", "safety_metadata") and path not in given:
            known[group][name] = value
    return known


def _group(message: Row, name: str) -> Row:
    return message.get(name) or {}


def _value(message: Row, path: str) -> Any:
    group, _, name = path.partition(".")
    return _group(message, group).get(name)
