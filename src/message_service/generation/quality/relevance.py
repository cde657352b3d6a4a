"""Whether a reply speaks of what the question speaks of.

The question's content words are the words of its keywords (`enrichment.keywords`); the reply
mentions a word if it has the word or one of its stems, dictionary forms or compound parts, as a
search would find it. With weights w, m the weight of the mentioned words and t that of all:

    score = (m + (t - m) * DOUBT / (n + 1)) / t

The score is the weighted share m / t, smoothed: of the share that is missing, the part
DOUBT / (n + 1) is forgiven, n being the number of words. An answer that only paraphrases the one
term of a short question thus has 0.25, while a reply that lacks all of twenty words has nearly 0. A
reply that mentions everything has 1, and one without words 0.

A word weighs the logarithm of its length: longer words carry more information (Piantadosi, Tily &
Gibson 2011, "Word lengths are optimized for efficient communication", PNAS 108), and the frequency
of words in the conversations is not known here. In text without spaces a word is mentioned by the
share of its pairs of characters that the reply has.

The score cannot see synonyms, does not read numbers, has no words for a question in Thai, Lao,
Khmer or Burmese (no keywords are found in them), and cannot tell a right answer from a wrong one.
Stemming is not thread-safe: call this on the event loop's thread, after
`enrichment.lemmas.dictionaries_read`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

from message_service.enrichment.keywords import find_keywords
from message_service.enrichment.language import UNDETERMINED, detect_language
from message_service.enrichment.words import (
    analyse,
    is_unspaced,
    occurrences,
    own_terms,
    tokenize,
)
from message_service.generation.quality.evaluator import Evaluator, Judged

DOUBT = 0.5
"""What the missing words of a question of no words would count."""

MAX_WORDS = 24
"""The best keywords of a question that are used: a pasted text is not what is asked for."""

_SCANNED = 20_000
_DETECTABLE = 40  # fewer characters are too often taken for another language
_SURROGATES = re.compile("[\ud800-\udfff]")

Word = frozenset[str]
"""The terms by which a word is found."""


def judge_relevance(judged: Judged) -> float | None:
    """Return the share of the question's content that the reply mentions.

    None if the question has no content words, or is in another language than the reply.
    """
    question = _SURROGATES.sub(" ", judged.question[:_SCANNED])
    answer = _SURROGATES.sub(" ", judged.answer[:_SCANNED])
    asked, answered = detect_language(question).code, detect_language(answer).code
    if _differ(question, asked, answer, answered):
        return None
    given = (judged.language or UNDETERMINED).partition("-")[0].lower()
    # A question is often too short to tell its language by.
    code = next((code for code in (given, answered, asked) if code != UNDETERMINED), "en")
    words = dict(_content_words(question, code))
    if not words:
        return None
    known = frozenset(analyse(answer, code).terms)
    if not known:
        return 0.0
    total = sum(_weight(word) for word in words)
    mentioned = sum(_weight(word) * _share(word, terms, known) for word, terms in words.items())
    forgiven = (total - mentioned) * DOUBT / (len(words) + 1)
    return min(1.0, (mentioned + forgiven) / total)


def _differ(question: str, asked: str, answer: str, answered: str) -> bool:
    """Whether the question and the reply are surely in two languages, as in a translation."""
    if UNDETERMINED in (asked, answered) or asked == answered:
        return False
    return min(len(question), len(answer)) >= _DETECTABLE


def _content_words(question: str, code: str) -> Iterator[tuple[str, Word]]:
    keywords = find_keywords(question, code, limit=MAX_WORDS)
    found = frozenset(word for keyword in keywords for word in tokenize(keyword))
    for keyword in keywords:
        if is_unspaced(keyword):
            yield keyword, frozenset(tokenize(keyword))
    for token in occurrences(question):
        if not token.piece and token.text in found:
            written = question[token.start : token.end]
            terms = frozenset(own_terms(written, token.text, code))
            if terms:  # a function word of another language has none
                yield token.text, terms


def _weight(word: str) -> float:
    return math.log2(1 + len(word))


def _share(word: str, terms: Word, known: frozenset[str]) -> float:
    """Return how much of a word the reply has."""
    if not is_unspaced(word):
        return float(not terms.isdisjoint(known))
    return len(terms & known) / len(terms)


RELEVANCE = Evaluator(
    name="term_overlap",
    version="1",
    field="relevance_score",
    purpose="Weighted share of the question's content words that the reply mentions.",
    judge=judge_relevance,
)
