"""The safety verdict of a text: score, issues, moderation flags, and the need for a manual review.

All parameters of the verdict are declared here, so that a stored verdict can be explained:
`score = 1 - min(1, sum of WEIGHTS[issue] for the issues found)`, rounded to two decimals.

The service flags texts but does not filter them. Withholding a text is a policy of the application,
so `safety_metadata.content_filtered` is not part of the verdict (it starts as false, and only such
a policy sets it). The weaknesses are those of `pii`, `profanity` and `spam`; the score is a
heuristic that ranks texts, not a probability.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from message_service.enrichment.phones import regions_for
from message_service.enrichment.pii import find_pii
from message_service.enrichment.profanity import find_abuse
from message_service.enrichment.signals import JUDGED
from message_service.enrichment.spam import spam_signals

FILTER_VERSION = "v1.2"
"""Stored as `safety_metadata.filter_version`; changes when verdicts may change."""

WEIGHTS: Mapping[str, float] = MappingProxyType({
    "harmful_content.harassment": 0.50,
    "harmful_content.hate": 0.60,
    "harmful_content.self_harm": 0.50,
    "harmful_content.violence": 0.35,
    "inappropriate_language.profanity": 0.15,
    "inappropriate_language.sexual": 0.25,
    "inappropriate_language.slur": 0.50,
    "personal_info.card": 0.40,
    "personal_info.crypto_address": 0.10,
    "personal_info.email": 0.10,
    "personal_info.iban": 0.30,
    "personal_info.ip": 0.05,
    "personal_info.phone": 0.15,
    "personal_info.url_credentials": 0.40,
    "personal_info.us_ssn": 0.50,
    "spam.contact_lure": 0.15,
    "spam.many_links": 0.15,
    "spam.money_lure": 0.25,
    "spam.repeated_characters": 0.03,
    "spam.repeated_text": 0.15,
    "spam.shouting": 0.05,
    "spam.suspicious_link": 0.25,
})  # fmt: skip
"""The amount by which each issue lowers a score of 1; repeated issues count once."""

SPAM_FROM = 0.30
"""Minimum sum of `spam.*` weights for the flag `spam`; a single trait is never enough."""

REVIEW_FLAGS = frozenset({"harassment", "hate", "self_harm"})
"""Moderation flags that require a manual review at any score."""

REVIEW_BELOW = 0.40
"""A lower score requires a manual review too."""

# The issue and, for most categories, the flag of each category of abusive language.
_ABUSE: Mapping[str, tuple[str, str | None]] = MappingProxyType({
    "harassment": ("harmful_content.harassment", "harassment"),
    "hate": ("harmful_content.hate", "hate"),
    "profanity": ("inappropriate_language.profanity", None),
    "self_harm": ("harmful_content.self_harm", "self_harm"),
    "sexual": ("inappropriate_language.sexual", "sexual"),
    "slur": ("inappropriate_language.slur", "hate"),
    "violence": ("harmful_content.violence", "violence"),
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class SafetyVerdict:
    """The safety verdict on one text.

    None means not available: in a language outside `signals.JUDGED`, issues can be found in a text,
    but a text cannot be judged safe.

    Attributes:
        safety_score: 0 to 1; 1 is completely safe.
        detected_issues: Keys of `WEIGHTS` and their first parts (`personal_info`,
            `personal_info.email`), sorted.
        moderation_flags: Any of `spam`, `harassment`, `hate`, `sexual`, `violence`, `self_harm`;
            sorted.
        manual_review_required: Whether a person should review the text: see `REVIEW_FLAGS`,
            `REVIEW_BELOW`.
    """

    safety_score: float | None
    detected_issues: tuple[str, ...] | None
    moderation_flags: tuple[str, ...] | None
    manual_review_required: bool | None


SAFE = SafetyVerdict(1.0, (), (), manual_review_required=False)
NOT_JUDGED = SafetyVerdict(None, None, None, None)


def judge(text: str, language: str, regions: tuple[str, ...] = ()) -> SafetyVerdict:
    """Return the verdict on a text.

    Args:
        text: The text; only the first 20,000 characters are read.
        language: ISO 639-1 code, or `und`.
        regions: The deployment's regions, whose national phone formats are recognised in addition
            to those that the language suggests; when empty, US and GB.

    Raises:
        InvalidInput: A region has no numbering plan.
    """
    issues = {f"personal_info.{hit.kind}" for hit in find_pii(text, regions_for(language, regions))}
    signals = [f"spam.{label}" for label in spam_signals(text)]
    issues.update(signals)
    flags: set[str] = set()
    for category in find_abuse(text, language).categories:
        issue, flag = _ABUSE[category]
        issues.add(issue)
        if flag is not None:
            flags.add(flag)
    if not issues:
        return SAFE if language in JUDGED else NOT_JUDGED
    if sum(WEIGHTS[signal] for signal in signals) >= SPAM_FROM:
        flags.add("spam")
    score = round(1 - min(1.0, sum(WEIGHTS[issue] for issue in sorted(issues))), 2)
    heads = {issue.partition(".")[0] for issue in issues}
    review = score < REVIEW_BELOW or not flags.isdisjoint(REVIEW_FLAGS)
    judged = language in JUDGED
    return SafetyVerdict(
        safety_score=score if judged else None,
        detected_issues=tuple(sorted(issues | heads)),
        moderation_flags=tuple(sorted(flags)) if judged or flags else None,
        manual_review_required=review if judged or review else None,
    )
