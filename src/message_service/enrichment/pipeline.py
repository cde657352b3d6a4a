"""The list of enrichers, and the function that runs them on a text.

Language and text statistics are computed when a message is appended; the indexer computes all other
values later, with this module. A result contains only values that were found: when an enricher
cannot decide, there is no default value.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from message_service import errors
from message_service.enrichment.complexity import complexity_score
from message_service.enrichment.entities import find_entities
from message_service.enrichment.intent import classify_intent
from message_service.enrichment.keywords import find_keywords
from message_service.enrichment.language import UNDETERMINED, Language, detect_language
from message_service.enrichment.model import Enricher, Findings, Subject
from message_service.enrichment.safety import FILTER_VERSION, judge
from message_service.enrichment.sentiment import score_sentiment
from message_service.enrichment.text_statistics import sanitize
from message_service.enrichment.topics import find_topics
from message_service.enrichment.urgency import judge_urgency
from message_service.enrichment.words import Words, analyse

WORDS_VERSION = 3
"""Version of tokens, stems and terms; part of `ENRICHMENT_VERSION`."""

LANGUAGE_VERSION = 2
"""Version of language detection; part of `ENRICHMENT_VERSION`."""

_LOG = logging.getLogger(__name__)


def _intent(subject: Subject) -> Findings:
    found = classify_intent(subject.text, subject.language)
    return {"custom_metadata.intent": found.name, "custom_metadata.confidence": found.confidence}


def _sentiment(subject: Subject) -> Findings:
    return {"custom_metadata.sentiment": score_sentiment(subject.text, subject.language).label}


def _urgency(subject: Subject) -> Findings:
    return {"custom_metadata.urgency": judge_urgency(subject.text, subject.language)}


def _complexity(subject: Subject) -> Findings:
    return {"custom_metadata.complexity_score": complexity_score(subject.text)}


def _topics(subject: Subject) -> Findings:
    topics = find_topics(subject.text, subject.language)
    return {"custom_metadata.topics": list(topics)} if topics else {}


def _keywords(subject: Subject) -> Findings:
    return {"indexed_content.keywords": list(find_keywords(subject.text, subject.language))}


def _entities(subject: Subject) -> Findings:
    return {"indexed_content.entities": list(find_entities(subject.text, subject.language))}


def _safety(subject: Subject) -> Findings:
    verdict = judge(subject.text, subject.language, subject.phone_regions)
    issues, flags = verdict.detected_issues, verdict.moderation_flags
    found: dict[str, Any] = {
        "safety_score": verdict.safety_score,
        "detected_issues": None if issues is None else list(issues),
        "moderation_flags": None if flags is None else list(flags),
        "manual_review_required": verdict.manual_review_required,
        "content_filtered": False,
        "filter_version": FILTER_VERSION,
    }
    return {f"safety_metadata.{name}": value for name, value in found.items() if value is not None}


ENRICHERS: tuple[Enricher, ...] = (
    Enricher(
        name="intent",
        version=1,
        finds="greeting, question, command, creative or statement; how sure the rule is",
        weak="questions without question word or mark; 'can you ...' is taken for a command",
        fills=("custom_metadata.intent", "custom_metadata.confidence"),
        run=_intent,
    ),
    Enricher(
        name="sentiment",
        version=1,
        finds="positive, neutral or negative, by word lists in 13 languages and emoji",
        weak="sarcasm; feelings without words for them; negation in Chinese and Japanese",
        fills=("custom_metadata.sentiment",),
        run=_sentiment,
    ),
    Enricher(
        name="urgency",
        version=1,
        finds="low, medium, high or urgent, by words for urgency in 12 languages",
        weak="urgency that only follows from the circumstances; not a safety signal",
        fills=("custom_metadata.urgency",),
        run=_urgency,
    ),
    Enricher(
        name="complexity",
        version=1,
        finds="0 to 1: long sentences, long words, vocabulary, code and formulas",
        weak="a heuristic that ranks texts, not a grade level",
        fills=("custom_metadata.complexity_score",),
        run=_complexity,
    ),
    Enricher(
        name="topics",
        version=1,
        finds="up to five of 24 topics, by words in 12 languages",
        weak="texts about a topic in other words; words with two meanings",
        fills=("custom_metadata.topics",),
        run=_topics,
    ),
    Enricher(
        name="keywords",
        version=1,
        finds="up to eight key phrases (RAKE)",
        weak="Chinese and Japanese compounds are not split; very short texts",
        fills=("indexed_content.keywords",),
        run=_keywords,
    ),
    Enricher(
        name="entities",
        version=1,
        finds="names, @names, #tags, hosts, dates, amounts, places",
        weak="lower-case names; most names in Chinese, Japanese, Korean, Arabic; German nouns",
        fills=("indexed_content.entities",),
        run=_entities,
    ),
    Enricher(
        name="safety",
        version=3,
        finds="personal data, abusive language, spam; a score, flags, and the need for review",
        weak="implied and quoted hate, misspelt abuse; a score in five languages only",
        fills=tuple(
            f"safety_metadata.{name}"
            for name in (
                "safety_score",
                "detected_issues",
                "moderation_flags",
                "manual_review_required",
                "content_filtered",
                "filter_version",
            )
        ),
        run=_safety,
    ),
)
"""Every enricher. A new enricher is a new entry; a higher version re-enriches stored messages."""


def _version(enrichers: Sequence[Enricher]) -> str:
    named = ",".join(f"{enricher.name}{enricher.version}" for enricher in enrichers)
    first = f"words{WORDS_VERSION},language{LANGUAGE_VERSION}"
    digest = hashlib.sha256(f"{first},{named}".encode()).hexdigest()
    return f"e{len(enrichers)}-{digest[:8]}"


ENRICHMENT_VERSION = _version(ENRICHERS)
"""Stored with every message and search entry; changes when the version of any enricher changes."""


MESSAGE_PATHS: tuple[str, ...] = (
    "content.detected_language",
    "enrichment.language_confidence",
    *(
        path
        for enricher in ENRICHERS
        for path in enricher.fills
        if not path.startswith("indexed_content.")
    ),
)
"""The fields of a message that enrichment fills, without those of the search entry."""


@dataclass(frozen=True, slots=True)
class Enriched:
    """The result of the enrichment of a text.

    Attributes:
        language: Its language.
        words: Its searchable forms.
        findings: Values by field path.
        failed: Names of the enrichers that raised an error on this text.
    """

    language: Language
    words: Words
    findings: dict[str, Any] = field(default_factory=dict[str, Any])
    failed: tuple[str, ...] = ()


def enrich(
    text: str,
    *,
    found_by: str | None = None,
    language: str | None = None,
    enrichers: Sequence[Enricher] = ENRICHERS,
    phone_regions: tuple[str, ...] = (),
) -> Enriched:
    """Run the enrichers on a text.

    An enricher that raises an error is logged and recorded in `failed`; the others still run, so
    that one odd text cannot stall the index.

    Args:
        text: The message's text.
        found_by: What a search looks through, if it is more than the text.
        language: Its language, when the caller gave it.
        enrichers: The enrichers to run.
        phone_regions: The deployment's regions (`Settings.phone_regions`).
    """
    clean = sanitize(text)
    found = detect_language(clean) if language is None else Language(language, 1.0)
    words = analyse(clean, found.code)
    subject = Subject(clean, found.code, words, phone_regions)
    findings: dict[str, Any] = {}
    failed: list[str] = []
    if found.code != UNDETERMINED:
        findings["content.detected_language"] = found.code
        findings["enrichment.language_confidence"] = found.confidence
    for enricher in enrichers:
        try:
            findings.update(enricher.run(subject))
        except Exception as error:
            _LOG.error("enricher %s failed: %s", enricher.name, errors.trace_of(error))
            failed.append(enricher.name)
    if found_by is not None and found_by != text:
        words = analyse(sanitize(found_by), found.code)
    return Enriched(found, words, findings, tuple(failed))


__all__ = ["ENRICHERS", "ENRICHMENT_VERSION", "MESSAGE_PATHS", "Enriched", "enrich"]
