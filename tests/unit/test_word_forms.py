"""What a word is found by beside itself: dictionary forms, parts of compounds, contractions."""

import pytest

from message_service.enrichment.words import analyse
from message_service.search.parsing import parse_query


def found(query: str, text: str, language: str) -> bool:
    """Whether the index finds a text by a query of one word."""
    terms = set(analyse(text, language).terms)
    [clause] = parse_query(query).clauses
    return all(not terms.isdisjoint(forms) for forms in clause.lookups)


@pytest.mark.parametrize(
    ("query", "text", "language"),
    [
        ("dormir", "No duermo bien", "es"),
        ("duermo", "Ayer durmió mucho", "es"),
        ("erfinden", "Wer hat die Dampfmaschine erfunden?", "de"),
        ("Schiff", "Das Donaudampfschiff kommt", "de"),
        ("Haus", "Die Krankenhäuser sind voll", "de"),
        ("mouse", "three blind mice", "en"),
        ("طفل", "يلعب الأطفال", "ar"),
        ("سيارة", "سيارتي تعطلت في الطريق", "ar"),
        ("قطة", "كم عمر قطتك؟", "ar"),
        ("œil", "les yeux bleus", "fr"),
        ("don't", "I don’t know", "en"),
        ("dont", "I don’t know", "en"),
        ("don’t", "I dont know", "en"),
        ("don't", "I donʼt know", "en"),
        ("dog", "the dog‘s bone", "en"),
        ("dog's", "three dogs", "en"),
        ("l’eau", "de l'eau", "fr"),
        ("l'eau", "beaucoup d’eau", "fr"),
    ],
)
def test_is_found(query: str, text: str, language: str) -> None:
    assert found(query, text, language)


@pytest.mark.parametrize(
    ("query", "text", "language"),
    [
        ("Donaudampfschiff", "Ein Schiff kommt", "de"),
        ("halten", "Wir unterhalten uns", "de"),
        ("Schaft", "eine gute Freundschaft", "de"),
        ("richten", "die Nachrichten", "de"),
        ("cat", "a category", "en"),
    ],
)
def test_is_not_found(query: str, text: str, language: str) -> None:
    assert not found(query, text, language)


@pytest.mark.parametrize("query", ["it's", "it’s", "itʼs"])
def test_a_contraction_of_function_words_is_one_however_its_apostrophe_is_written(
    query: str,
) -> None:
    assert parse_query(f"{query} raining").clauses == parse_query("it's raining").clauses
    assert len(parse_query(f"{query} raining").clauses) == 1


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ("토끼를", "토끼"),
        ("마라톤은", "마라톤"),
        ("서울로", "서울"),
        ("학교에서", "학교"),
        ("運転する", "運転"),
        ("ジョギングしています", "ジョギングしています"),
        ("高尾山", "高尾山"),
        ("고양이", "고양이"),  # no particle: the word's own last syllable
        ("가을", "가을"),
        ("마음을", "마음"),
        ("마음를", "마음를"),  # not how it is written after a consonant
    ],
)
def test_a_query_is_looked_for_without_its_ending(query: str, word: str) -> None:
    [clause] = parse_query(query).clauses
    assert clause.text == word
    [quoted] = parse_query(f'"{query}"').clauses
    assert quoted.text == query
