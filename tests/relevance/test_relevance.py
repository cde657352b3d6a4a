"""Relevance on the judged set: 135 queries in eight languages over 18,206 real utterances.

How it was judged is in `test_judged.py`. The figures are printed; the floors, a little below what
was measured, keep them from slipping.
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path

import pytest

from message_service import MessageService
from relevance.corpus import Utterance, load_corpus
from relevance.metrics import ndcg

JUDGED = json.loads(Path(__file__).with_name("judged.json").read_text("utf-8"))
LANGUAGES = ("ar", "de", "en", "es", "fr", "ja", "ko", "zh")
FLOOR = 0.9
FLOOR_OF_EACH = 0.86


async def fill(service: MessageService, corpus: list[Utterance]) -> dict[str, str]:
    """Store each language as one user's conversation; return references by message id."""
    references: dict[str, str] = {}
    for language in LANGUAGES:
        made = await service.conversations.create(_user(language))
        said = [one for one in corpus if one.language == language]
        for start in range(0, len(said), 1_000):
            part = said[start : start + 1_000]
            outcomes = await service.messages.append_many(
                made.conversation_id, [{"role": "user", "text": one.text} for one in part]
            )
            for one, outcome in zip(part, outcomes, strict=True):
                references[outcome.message_id] = one.reference  # type: ignore[union-attr]
    await service.search_index.drain()
    return references


def _user(language: str) -> str:
    return f"user_{language}0000000000"


async def test_relevance(
    service: MessageService, shared_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    references = await fill(service, load_corpus(shared_data))
    scores: dict[str, list[float]] = defaultdict(list)
    weak: list[str] = []
    for judged in JUDGED:
        page = await service.search.find(
            judged["query"], user_id=_user(judged["language"]), limit=30
        )
        ranked = [references[hit.message.message_id] for hit in page]
        value = ndcg(ranked, judged["expected"])
        scores[judged["language"]].append(value)
        if value < 0.8:
            weak.append(f"{judged['id']} {value:.2f}")
    means = {language: sum(found) / len(found) for language, found in scores.items()}
    overall = sum(sum(found) for found in scores.values()) / len(JUDGED)
    with capsys.disabled():
        shown = ", ".join(f"{language} {means[language]:.3f}" for language in LANGUAGES)
        print(f"\nnDCG@10 of {len(JUDGED)} queries: {overall:.3f} ({shown}); weak: {weak}")
    assert overall >= FLOOR
    for language, mean in means.items():
        assert mean >= FLOOR_OF_EACH, language
