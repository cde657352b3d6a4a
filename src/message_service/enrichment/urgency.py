"""The urgency of a message: low, medium, high or urgent.

Urgency is judged by word lists in 12 languages and by exclamation marks. It is missed where it only
follows from the circumstances ("the baby is not breathing" has none of the words); do not use it as
a safety signal.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Final

from message_service.enrichment.folding import fold
from message_service.enrichment.words import tokenize

URGENCIES: Final = ("low", "medium", "high", "urgent")

_SCANNED = 2_000
_MANY_MARKS = 3
_WORDS: Final[Mapping[str, tuple[str, str]]] = {
    # language: (urgent, high); several words are separated by "|"
    "en": (
        "urgent|urgently|emergency|asap|immediately|right now|right away|call 911|at once",
        "quickly|hurry|important|soon as possible|deadline|need help|help me",
    ),
    "es": (
        "urgente|urgentemente|emergencia|inmediatamente|ahora mismo|de inmediato|cuanto antes",
        "rápido|importante|ayuda|date prisa|lo antes posible|crítico",
    ),
    "fr": (
        "urgent|urgence|immédiatement|tout de suite|sur le champ|au plus vite",
        "vite|important|dépêche|dès que possible|aide-moi|critique",
    ),
    "de": (
        "dringend|notfall|sofort|umgehend|unverzüglich|so schnell wie möglich",
        "schnell|wichtig|eilig|beeil|bald|hilfe|frist",
    ),
    "it": (
        "urgente|urgentemente|emergenza|immediatamente|subito|il prima possibile",
        "presto|importante|sbrigati|aiuto|scadenza",
    ),
    "pt": (
        "urgente|urgentemente|emergência|imediatamente|agora mesmo|o quanto antes",
        "rápido|importante|socorro|ajuda|depressa|prazo",
    ),
    "nl": (
        "dringend|noodgeval|onmiddellijk|meteen|zo snel mogelijk|spoed",
        "snel|belangrijk|haast|hulp",
    ),
    "ru": (
        "срочно|немедленно|экстренно|сейчас же|как можно скорее",
        "быстро|важно|скорее|помогите|помоги",
    ),
    "ar": ("عاجل|فورا|طارئ|حالا|في أسرع وقت", "بسرعة|مهم|ساعدني|النجدة"),
    "zh": ("紧急|马上|立刻|立即|急死|尽快", "快点|重要|赶紧|救命|帮帮我"),
    "ja": ("緊急|至急|今すぐ|直ちに|大至急", "早く|急いで|重要|今日中|助けて"),
    "ko": ("긴급|즉시|당장|지금 바로|급해", "빨리|중요|서둘러|도와"),
}
_UNSPACED = frozenset({"zh", "ja", "ko"})


def judge_urgency(text: str, language: str) -> str:
    """Return one of `URGENCIES`, judged by the first 2,000 characters.

    `urgent`: a word of the urgent list. `high`: two words of the high list, or one of them together
    with an exclamation mark. `medium`: one word of the high list, or at least three exclamation
    marks. Otherwise `low`.
    """
    head = text[:_SCANNED]
    marks = head.count("!") + head.count("！")
    urgent, high = _forms().get(language, ((), ())) if language != "und" else _forms()["en"]
    line = fold(head) if language in _UNSPACED else f" {' '.join(tokenize(head))} "
    if any(form in line for form in urgent):
        return "urgent"
    hastes = sum(form in line for form in high)
    if hastes >= 2 or (hastes and marks):
        return "high"
    return "medium" if hastes or marks >= _MANY_MARKS else "low"


@cache
def _forms() -> Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]:
    return {
        language: (_split(urgent, language), _split(high, language))
        for language, (urgent, high) in _WORDS.items()
    }


def _split(forms: str, language: str) -> tuple[str, ...]:
    if language in _UNSPACED:
        return tuple(fold(form) for form in forms.split("|"))
    return tuple(f" {' '.join(tokenize(form))} " for form in forms.split("|"))
