"""The local evaluators of replies: cases that counting naively would get wrong, and any text."""

import logging
import time
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from message_service.catalogue.discovery import declared_in
from message_service.documents.message import QualityMetadata
from message_service.generation import quality
from message_service.generation.quality.evaluator import (
    Evaluator,
    Judged,
    Score,
    ScoreField,
    judge_all,
)
from message_service.generation.quality.language_quality import judge_language_quality
from message_service.generation.quality.local import EVALUATORS
from message_service.generation.quality.refusal import judge_refusal
from message_service.generation.quality.relevance import judge_relevance
from message_service.generation.quality.repetition import judge_repetition

PROSE = (
    "The lighthouse was built in 1811 on a reef off the coast. Its lamp can be seen from 35 miles "
    "inland, and its lenses were so good that they did not need replacing for a hundred years."
)
ANY = st.text(st.characters(codec=None), max_size=300)  # with lone surrogates
LONG_NAMES = "Donaudampfschifffahrtsgesellschaftskapitän ist ein langes Wort, aber nur ein Wort."

REFUSALS = [
    "I can't help with that.", "I’m sorry, but I cannot assist with that request.",
    "As an AI language model, I cannot browse the internet.",
    "As an AI, I'm unable to provide medical advice.", "**I'm not able to fulfill this request.**",
    "Sorry, but I won't write that kind of content.",
    "*smiles* As an AI language model, I can't continue this scene.",
    "Your request goes against our content policy.", "Lo siento, pero no puedo ayudarte con eso.",
    "Lo siento, pero no puedo", "Es tut mir leid, aber dabei kann ich dir leider nicht helfen.",
    "Als KI-Sprachmodell kann ich keine medizinischen Ratschläge geben.",
    "Je suis désolé, mais je ne peux pas répondre à cette question.",
    "En tant qu’IA, je ne peux pas donner d'avis médical.",
    "Desculpe, mas não posso ajudar com isso.",
    "Mi dispiace, ma non posso aiutarti con questa richiesta.",
    "Come modello linguistico, non posso esprimere opinioni.",
]  # fmt: skip

ANSWERS = [
    "I cannot wait to see you!", "I'm sorry for your loss.", "I can't believe it!",
    "I'm sorry, but I can't go to the ball.", "*sighs* I can't help with that, traveller.",
    "\"I can't help with that,\" she said.", "I can't help but smile.",
    "I can't help you carry the sword.", "I can't provide for a family on this wage.",
    "I must decline your invitation, my lord.",
    "As an AI, I cannot feel pain, but I can describe it.",
    "You can say: \"I can't help with that.\"", "No puedo esperar a verte.",
    "Lo siento, pero no puedo ir al baile.", "Ich kann es kaum erwarten!",
    "Es tut mir leid, das zu hören.", "Je ne peux pas croire que tu sois là.",
    "Não posso acreditar nisso!", "Mi dispiace per la tua perdita.", "", "Prague.",
]  # fmt: skip


@pytest.mark.parametrize("answer", REFUSALS)
def test_refusals(answer: str) -> None:
    assert judge_refusal(Judged("", answer)) == 1.0


@pytest.mark.parametrize("answer", [*ANSWERS, PROSE * 2 + " I can't help with that."])
def test_what_only_sounds_like_a_refusal(answer: str) -> None:
    assert judge_refusal(Judged("", answer)) == 0.0
    assert judge_refusal(Judged("", answer, refusal=True)) == 1.0
    assert judge_refusal(Judged("", answer, finish_reason="content_filter")) == 1.0


@pytest.mark.parametrize(
    "answer",
    [
        PROSE, LONG_NAMES, "ok", "lol sure :)", "so sad :-(", "Ça va ? Très bien, Ñandú.",
        "東京は日本の首都です。人口は約1400万人で、「世界最大」の都市圏の一つです。",
        "量子计算机利用量子力学（叠加与纠缠）进行计算，使用Python编程也可以",
        "القاهرة هي عاصمة مصر وأكبر مدنها، ويُقدَّر عدد سكانها بنحو عشرة ملايين نسمة.",
        'צה"ל הוא צבא ההגנה לישראל, והוא הוקם בשנת 1948.', "กรุงเทพมหานครเป็นเมืองหลวงของประเทศไทย",
        "Use this:\n```python\nx = foo[((\n```\nIt works.",
        "```\nприveт \ufffd\n```\nSee the code above.",
        "a) first (of all)\nb) second\n\n1) third", "😂😂😂", "👩‍👩‍👧 🏳️‍🌈",
        "Use μm or Δx, and the iPhone'ом, USB-кабель.",
        "See https://example.org/" + "a" * 200, "São João! «Ça va»", "- [ ] buy milk\n- [x] sleep",
        'The screen is 5" wide.', "नमस्ते, आप कैसे हैं?", "Bạn có khỏe không? Tôi ổn.",
        'Er sagte: „Guten Tag.“ Sie sagte: “Hello.”', '{"1": "x", "2": ["N", "a"]}',
    ],
)  # fmt: skip
def test_sound_text_has_full_quality(answer: str) -> None:
    assert judge_language_quality(Judged("", answer)) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("answer", "at_most"),
    [
        ("Caf\ufffd is ope\ufffd on S\ufffdnday.", 0.2), ("CafÃ© dÃ©jÃ  vu, lâ€™Ã©tÃ©", 0.2),
        ("ÐŸÑ€Ð¸Ð²ÐµÑ‚, ÐºÐ°Ðº Ð´ÐµÐ»Ð°?", 0.1), ("a\x00b\x07c \ud800", 0.1),
        ("wordswithoutspaces" * 10, 0.1), ("Nice aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", 0.2),
        ("пpивeт, кaк дeлa?", 0.1), ("%&$§/&%$§%&/$%&/$ a", 0.3), ("!?!?!?!?", 0.0),
        ("Use this:\n```python\nprint(1)\n", 0.8), ("It is (as [they say", 0.9),
        ('She said "no and left.', 0.95), (PROSE[:120], 0.95),
    ],
)  # fmt: skip
def test_broken_text_has_less(answer: str, at_most: float) -> None:
    assert -1e-9 <= (judge_language_quality(Judged("", answer)) or 0.0) <= at_most + 1e-9


def test_a_cut_end_counts_by_why_the_reply_ended() -> None:
    reasons = ("length", None, "stop")
    values = [judge_language_quality(Judged("", PROSE[:120], finish_reason=r)) for r in reasons]
    assert values == pytest.approx([0.7, 0.95, 1.0])
    for end, value in ((".", 1.0), ("🏳️", 1.0), (" की", 0.7), (" x =", 0.7), (" these:", 0.7)):
        cut = Judged("", PROSE[:-1] + end, finish_reason="length")
        assert judge_language_quality(cut) == pytest.approx(value)
    assert judge_language_quality(Judged("", " \n")) is None


@pytest.mark.parametrize(
    ("question", "answer", "low", "high"),
    [
        ("How do bakers make bread?", "A baker kneads dough; making breads takes time.", 1, 1),
        ("What is photosynthesis?", "Plants turn light into sugar.", 0.2, 0.3),
        ("What is photosynthesis?", "Photosynthesis turns light into sugar.", 1, 1),
        ("Tell me about the Eiffel tower and its restaurants", "Cats sleep all day.", 0, 0.15),
        ("Cómo duermen los gatos?", "El gato duerme mucho, y dormir le gusta.", 1, 1),
        ("Wo steht der Weihnachtsbaum?", "Der Baum steht im Wohnzimmer.", 0.7, 1),
        ("כמה כלבים יש בבית?", "הבית גדול, ויש בו שלושה כלבים.", 0.6, 1),
        ("量子コンピュータとは何ですか", "量子コンピュータは計算機の一種です。", 0.9, 1),
        ("量子コンピュータとは何ですか", "猫は一日中寝ています。", 0, 0.3),
        ("北京有哪些著名的博物馆？", "故宫是著名的博物馆，位于北京。", 0.5, 1),
        ("한국의 수도는 어디인가요?", "수도는 서울입니다. 한국에서 가장 큰 도시예요.", 0.6, 1),
        ("What is photosynthesis?", "", 0, 0), ("What is photosynthesis?", "!!!", 0, 0),
    ],
)  # fmt: skip
def test_relevance(question: str, answer: str, low: float, high: float) -> None:
    value = judge_relevance(Judged(question, answer))
    assert value is not None
    assert low <= value <= high


@pytest.mark.parametrize(
    "question", ["", "why?", "Who are you?", "こんにちは", "¿por qué?", "🎉", "2+2"]
)
def test_a_question_without_content_is_not_judged(question: str) -> None:
    assert judge_relevance(Judged(question, PROSE)) is None


def test_a_translation_is_not_judged() -> None:
    question = "Please translate into Russian: the lighthouse stands on a reef off the coast"
    assert (
        judge_relevance(Judged(question, "Маяк стоит на рифе недалеко от морского берега")) is None
    )


@pytest.mark.parametrize(
    ("answer", "earlier", "low", "high"),
    [
        (PROSE, (), 0, 0), ("I am " * 50, (), 0.97, 1), (PROSE + "\n" + PROSE, (), 0.4, 0.6),
        ("私は猫です。" * 30, (), 0.9, 1), ("我喜欢你" * 30, (), 0.9, 1),
        ("ฉันรักเธอ" * 9, (), 0.5, 1),
        ("量子计算机利用量子力学的叠加与纠缠进行计算。", (), 0, 0), (PROSE, (PROSE.upper(),), 1, 1),
        (PROSE, ("Hello.", PROSE.replace("1811", "1810")), 0.8, 0.99), (PROSE, (LONG_NAMES,), 0, 0),
        ("Yes, of course.", ("No.", "yes of course"), 1, 1), ("…!", ("…!",), 1, 1),
        ("- the cat\n- the dog\n- the bird\n- the fish\n- the cow", (), 0, 0.01),
    ],
)  # fmt: skip
def test_repetition(answer: str, earlier: tuple[str, ...], low: float, high: float) -> None:
    value = judge_repetition(Judged("", answer, earlier=earlier))
    assert value is not None
    assert low <= value <= high


def test_a_short_new_reply_is_not_judged_for_repetition() -> None:
    for answer, earlier in (("", ""), ("Yes.", "No."), ("no no no no", "no")):
        assert judge_repetition(Judged("", answer, earlier=(earlier,))) is None


JUDGED = st.builds(
    Judged,
    question=ANY, answer=ANY,
    language=st.sampled_from([None, "en", "de", "ar", "ja", "xx", "pt-BR", "und", ""]),
    earlier=st.lists(ANY, max_size=3).map(tuple),
    refusal=st.booleans(), finish_reason=st.sampled_from([None, "stop", "length", "tool_calls"]),
)  # fmt: skip


@settings(deadline=None)
@given(JUDGED)
def test_every_text_is_judged_without_an_error(judged: Judged) -> None:
    for evaluator in EVALUATORS:
        value = evaluator.judge(judged)
        assert value is None or 0.0 <= value <= 1.0


@settings(deadline=None)
@given(st.lists(st.text("abcde漢字かなй", min_size=1, max_size=5), min_size=8, max_size=40))
def test_repetition_grows_with_every_doubling(words: list[str]) -> None:
    text = " ".join(words)
    values = [judge_repetition(Judged("", " ".join([text] * count))) for count in (2, 4, 8, 16)]
    numbers = [value for value in values if value is not None]
    assert len(numbers) == 4
    assert numbers == sorted(numbers)
    assert numbers[-1] > 0.85


@settings(deadline=None)
@given(ANY | st.lists(st.sampled_from((PROSE + LONG_NAMES).split())).map(" ".join))
def test_a_question_is_relevant_to_itself(text: str) -> None:
    assert judge_relevance(Judged(text, text)) in (None, pytest.approx(1.0))


@pytest.mark.parametrize("piece", ["`", "(", ":(", "a)", 'א"', "😂", "漢", "as an ai ", "\ud800"])
def test_a_long_text_takes_linear_time(piece: str) -> None:
    text = (piece * 50_000)[:50_000]
    began = time.process_time()
    judge_all(Judged(text, text, earlier=(text,)), EVALUATORS)
    assert time.process_time() - began < 10  # a quadratic scan would take minutes


def test_an_error_is_logged_without_the_text(caplog: pytest.LogCaptureFixture) -> None:
    def fail(judged: Judged) -> float:
        raise ValueError(judged.answer)

    def entry(name: str, judge: object) -> Evaluator:
        return Evaluator(name, "3", "coherence_score", "For this test.", judge)  # pyright: ignore

    evaluators = [
        entry("fails", fail), entry("too_much", lambda _: 1.5),
        entry("no_number", lambda _: float("nan")), entry("cannot", lambda _: None),
        entry("third", lambda _: 1 / 3),
    ]  # fmt: skip
    with caplog.at_level(logging.ERROR):
        scores = judge_all(Judged("", "secret words"), evaluators)
    assert scores == [Score("coherence_score", 0.3333, "third", "3")]
    logged = [record.getMessage().split()[1] for record in caplog.records]
    assert logged == ["fails", "too_much", "no_number"]
    assert "secret" not in caplog.text


def test_every_evaluator_is_listed_and_fills_its_own_field() -> None:
    assert set(EVALUATORS) == set(declared_in(quality, Evaluator))
    fields = [evaluator.field for evaluator in EVALUATORS]
    assert len(fields) == len(set(fields))
    other = {"user_feedback", "evaluated_by", "evaluated_revision"}
    assert set(get_args(ScoreField)) == {*QualityMetadata.model_fields} - other
