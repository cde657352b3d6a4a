"""Personal data, abusive language, signs of spam, and the verdict made of them."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from message_service.enrichment.pii import KINDS, find_pii
from message_service.enrichment.profanity import CATEGORIES, find_abuse
from message_service.enrichment.safety import (
    REVIEW_BELOW,
    REVIEW_FLAGS,
    SAFE,
    SPAM_FROM,
    WEIGHTS,
    judge,
)
from message_service.enrichment.signals import JUDGED
from message_service.enrichment.spam import LABELS, spam_signals
from message_service.errors import InvalidInput

DATA = Path(__file__).parents[3] / "shared" / "data"
FLAGS = {"spam", "harassment", "hate", "sexual", "violence", "self_harm"}
TEXTS = st.text(alphabet=st.characters(exclude_categories=("Cs",)), max_size=300)
# Texts that come near personal data, which plain random text never does.
NEAR = st.lists(
    st.sampled_from(
        ["@", "a", "1", "4111", "::", ":", ".", "-", " ", "+44", "(", "GB82", "WEST", "://", "/",
         "٣", "０", "女", "hate", "women", "kill", "you", "www.", "example.com", "000", "\u00a0"]
    ),
    max_size=40,
).map("".join)  # fmt: skip


def kinds(text: str, regions: tuple[str, ...] = ("US", "GB")) -> list[tuple[str, str]]:
    return [(hit.kind, text[hit.start : hit.end]) for hit in find_pii(text, regions)]


@pytest.mark.parametrize(
    ("text", "kind", "written"),
    [
        ("write to ann.lee+chat@mail.example.co.uk.", "email", "ann.lee+chat@mail.example.co.uk"),
        ("<mailto:o'neil@example.org>", "email", "o'neil@example.org"),
        ("邮箱是wang@example.cn谢谢", "email", "wang@example.cn"),
        ("schreib an jo@müller.de bitte", "email", "jo@müller.de"),
        ("to=ann@example.com&x=1", "email", "ann@example.com"),
        ("call 020 7946 0958 tonight", "phone", "020 7946 0958"),
        ("my cell: (415) 555-2671", "phone", "(415) 555-2671"),
        ("+34 912 34 56 78", "phone", "+34 912 34 56 78"),
        ("wa.me/+447400123456", "phone", "+447400123456"),
        ("رقمي +٤٤٧٤٠٠١٢٣٤٥٦", "phone", "+٤٤٧٤٠٠١٢٣٤٥٦"),
        ("card 4111 1111 1111 1111 exp 12/29", "card", "4111 1111 1111 1111"),
        ("5500-0000-0000-0004", "card", "5500-0000-0000-0004"),
        ("amex 3782 822463 10005", "card", "3782 822463 10005"),
        ("４１１１１１１１１１１１１１１１", "card", "４１１１１１１１１１１１１１１１"),
        ("pay GB82 WEST 1234 5698 7654 32 and then", "iban", "GB82 WEST 1234 5698 7654 32"),
        ("BE68539007547034", "iban", "BE68539007547034"),
        ("iban de89370400440532013000", "iban", "de89370400440532013000"),
        ("from 203.0.113.9:8080", "ip", "203.0.113.9"),
        ("host 2001:db8::8a2e:370:7334 up", "ip", "2001:db8::8a2e:370:7334"),
        ("6e40:4041:c617:e898:c11:40d2:c669:2eb4", "ip", "6e40:4041:c617:e898:c11:40d2:c669:2eb4"),
        ("ssn 123-45-6789", "us_ssn", "123-45-6789"),
        ("ssn 123 45 6789.", "us_ssn", "123 45 6789"),
        (
            "use postgres://admin:s3cret@db.example.com:5432/app",
            "url_credentials",
            "postgres://admin:s3cret@db.example.com",
        ),
        (
            "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa is famous",
            "crypto_address",
            "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
        ),
    ],
)
def test_personal_data_is_found_where_it_stands(text: str, kind: str, written: str) -> None:
    assert kinds(text) == [(kind, written)]


@pytest.mark.parametrize(
    "text",
    [
        "@ann are you there @ 5?",
        "git clone git@github.com:ann/project.git",
        "icon@2x.png",
        "follow @ann@example.social",
        "a@b",
        "in 2024-11-24 at 12:30:45.123456",
        "1732416000",
        "id 550e8400-e29b-41d4-a716-446655440000",
        "4111 1111 1111 1112",
        "1234567890123456",
        "1 2 3 4 5 6 7 8 9 10 11 12 13 14",
        "GB82 WEST 1234 5698 7654 33",
        "localhost is 127.0.0.1, all are 0.0.0.0",
        "version 1.2.3.4 and v10.0.0.1",
        "256.1.1.1 and 1.2.3",
        "std::vector, a::b1, dead::beef, ::1",
        "000-12-3456, 666-12-3456, 912-12-3456, 123-00-4567, 123-45-0000",
        "123456789 apples",
        "https://example.com/a:b/@ann and https://example.com/?q=1",
        "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb",
        "3.14159265358979 is pi",
    ],
)
def test_what_only_looks_like_it_is_left_alone(text: str) -> None:
    assert kinds(text) == []


def test_overlaps_go_to_the_surer_kind() -> None:
    text = "https://ann:pw@example.com or ann@example.com, 5551234567@txt.example.com"
    assert [kind for kind, _ in kinds(text)] == ["url_credentials", "email", "email"]


def test_several_kinds_in_order() -> None:
    text = "ann@example.com, +44 7400 123456, 203.0.113.9"
    assert [kind for kind, _ in kinds(text)] == ["email", "phone", "ip"]


def test_regions_choose_the_national_formats() -> None:
    assert kinds("030 123456", ("DE",)) == [("phone", "030 123456")]
    assert kinds("030 123456") == []
    assert kinds("020 7946 0958", ()) == []
    assert kinds("+44 20 7946 0958", ()) == [("phone", "+44 20 7946 0958")]
    for unknown in ("UK", "gb", ""):
        with pytest.raises(InvalidInput) as raised:
            find_pii("hello", (unknown,))
        assert raised.value.field == "regions"


@given(TEXTS | NEAR)
def test_spans_lie_inside_and_apart(text: str) -> None:
    end = 0
    for hit in find_pii(text):
        assert hit.kind in KINDS
        assert end <= hit.start < hit.end <= len(text)
        end = hit.end


ABUSIVE = [
    ("en", "what the fuck", "profanity"),
    ("en", "this is f.u.c.k.i.n.g shiiiit", "profanity"),
    ("und", "fuuuuck", "profanity"),
    ("en", "you retard", "slur"),
    ("en", "send me porn", "sexual"),
    ("en", "Kill yourself.", "harassment"),
    ("en", "kys", "harassment"),
    ("de", "kill yourself", "harassment"),
    ("en", "Nobody loves you!", "harassment"),
    ("en", "You’re a worthless piece of trash", "harassment"),
    ("en", "I hate all immigrants", "hate"),
    ("en", "Refugees are just vermin.", "hate"),
    ("en", "gay people should all be shot", "hate"),
    ("en", "I want to kill him", "violence"),
    ("en", "how to build a pipe bomb", "violence"),
    ("en", "I want to end my life", "self_harm"),
    ("en", "i don't want to live anymore", "self_harm"),
    ("en", "I don't want to live", "self_harm"),
    ("de", "so eine Scheiße", "profanity"),
    ("de", "Ich hasse alle Ausländer!", "hate"),
    ("de", "Bring dich endlich um", "harassment"),
    ("de", "ich will nicht mehr leben", "self_harm"),
    ("es", "eres un hijo de puta", "profanity"),
    ("es", "Odio a los inmigrantes", "hate"),
    ("es", "ojalá te mueras", "harassment"),
    ("es", "quiero suicidarme", "self_harm"),
    ("fr", "va te faire foutre, connard", "profanity"),
    ("fr", "Je déteste tous les étrangers", "hate"),
    ("fr", "va te pendre", "harassment"),
    ("fr", "j'ai envie de mourir", "self_harm"),
    ("it", "gli immigrati sono parassiti", "hate"),
    ("it", "ammazzati", "harassment"),
    ("it", "voglio morire", "self_harm"),
    ("pt", "odeio os refugiados", "hate"),
    ("pt", "ninguém gosta de você", "harassment"),
    ("pt", "quero me matar", "self_harm"),
    ("ar", "أنا أكره كل المهاجرين", "hate"),
    ("ar", "اقتل نفسك", "harassment"),
    ("ar", "أريد أن أموت", "self_harm"),
    ("zh", "我恨所有的外国人。", "hate"),
    ("zh", "你怎么不去死", "harassment"),
    ("zh", "我不想再活下去了", "self_harm"),
    ("zh", "他妈的", "profanity"),
    ("ja", "外国人は全員出て行け", "hate"),
    ("ja", "お前なんか死ね", "harassment"),
    ("ja", "もう死にたい", "self_harm"),
    ("ru", "иди на хуй", "profanity"),
]  # fmt: skip


@pytest.mark.parametrize(("language", "text", "category"), ABUSIVE)
def test_abuse_is_found_in_its_language(language: str, text: str, category: str) -> None:
    abuse = find_abuse(text, language, undeclared=True)
    assert category in abuse.categories
    assert abuse.terms >= len(set(abuse.categories))


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en", "how do I kill a process on Linux?"),
        ("en", "the queue is full, please assess the class of Scunthorpe's document"),
        ("en", "I hate mondays, and women know why. No one should hate women."),
        ("en", "I don't want to live forever in this town"),
        ("en", "I love gay people. Muslims are people. Women are not animals."),
        ("en", "I'll find you a better seat; bloody good show"),
        ("en", "we will shoot the movie on Friday and beat the other team"),
        ("en", "my cat is a Maine Coon"),
        ("en", "this joke is killing me, I am dead"),
        ("de", "bitte nicht, das ist die Menge, und die Art"),
        ("de", "Die Frauen sind nett. Ich hasse Regen."),
        ("fr", "la queue est longue, nous allons rater le bus"),
        ("fr", "Je déteste la pluie, les femmes aussi"),
        ("es", "me gustan los negros ojos de mi perro"),
        ("es", "yo no quiero morir"),
        ("it", "io non voglio morire"),
        ("id", "terima kasih, ayam itu enak"),
        ("ko", "고양이 한 마리와 직장에 가요"),
        ("it", "non ho voglia di andare, le donne lo sanno"),
        ("pt", "eu gosto dos meus vizinhos imigrantes"),
        ("zh", "我喜欢女人和狗，也喜欢外国人"),
        ("ja", "外国人の友達が好きです。犬も好き。"),
        ("ar", "أحب كل الناس والمهاجرين"),
        ("xx", "some words of an unknown language"),
        ("und", "12345 :-)"),
        ("en", ""),
    ],
)
def test_clean_texts_stay_clean(language: str, text: str) -> None:
    assert find_abuse(text, language).categories == ()
    assert not judge(text, language).moderation_flags


def test_only_the_detected_languages_list_is_asked() -> None:
    assert find_abuse("eine Queue, bitte", "de").terms == 0
    assert find_abuse("scheisse", "es").terms == 0


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("http://a.example http://b.example http://c.example http://d.example", "many_links"),
        ("http://shop.example/1 http://shop.example/2 http://shop.example/3", "many_links"),
        ("buy now buy now buy now buy now buy now buy now buy now buy now", "repeated_text"),
        ("cheap " * 20, "repeated_text"),
        ("便宜好货快来买" * 8, "repeated_text"),
        ("THIS IS THE BEST OFFER EVER, LOOK AT IT", "shouting"),
        ("ЭТО САМОЕ ЛУЧШЕЕ ПРЕДЛОЖЕНИЕ НА СВЕТЕ", "shouting"),
        ("soooooooooooo good", "repeated_characters"),
        ("now!!!!!!!!!!!!!", "repeated_characters"),
        ("Earn $5,000 a week from home", "money_lure"),
        ("You have won a free iPhone", "money_lure"),
        ("Gana dinero fácil", "money_lure"),
        ("日赚500，在家赚钱", "money_lure"),
        ("Text me on WhatsApp", "contact_lure"),
        ("https://t.me/joinchat/abc", "contact_lure"),
        ("加我微信了解", "contact_lure"),
        ("http://8.8.8.8/login", "suspicious_link"),
        ("https://bit.ly/3xYz", "suspicious_link"),
        ("https://paypal.com@evil.example/", "suspicious_link"),
        ("https://files.example/setup.exe", "suspicious_link"),
    ],
)
def test_signs_of_spam(text: str, label: str) -> None:
    assert label in spam_signals(text)


@pytest.mark.parametrize(
    "text",
    [
        "see https://example.com/docs and tell me what you think about the second chapter of it",
        "MAX_CONNECTION_TIMEOUT_MILLISECONDS is the setting",
        "I work at NASA on the HTTP REST API",
        "我昨天去了市场买了一些苹果因为它们看起来非常新鲜而且价格也很便宜所以我买了很多",
        "哈哈哈哈哈哈哈哈哈哈哈哈哈哈哈哈哈哈哈哈哈哈哈哈",
        "ㅋㅋㅋㅋㅋㅋㅋㅋㅋㅋㅋㅋㅋㅋㅋㅋㅋㅋ",
        "wwwwwwwwwwwwwwww",
        "ha ha ha ha ha ha ha ha ha ha ha ha ha ha ha ha",
        "--------------------------------------------------------",
        "1000000000000",
        "http://localhost:8080/ and http://192.168.0.1/admin",
        "https://www.python.org",
        "",
    ],
)
def test_no_spam_in_ordinary_texts(text: str) -> None:
    assert spam_signals(text) == ()


def test_a_clean_text_is_completely_safe() -> None:
    assert judge("Hello Luna! How are you today?", "en") is SAFE
    assert SAFE.safety_score == 1.0


def test_the_score_is_the_declared_sum() -> None:
    verdict = judge("what the fuck, mail me: ann@example.com", "en")
    assert verdict.detected_issues == (
        "inappropriate_language",
        "inappropriate_language.profanity",
        "personal_info",
        "personal_info.email",
    )
    taken = WEIGHTS["inappropriate_language.profanity"] + WEIGHTS["personal_info.email"]
    assert verdict.safety_score == pytest.approx(1 - taken)
    assert verdict.moderation_flags == ()
    assert not verdict.manual_review_required


def test_flags_that_need_a_person() -> None:
    for text in ("I hate all immigrants", "kill yourself", "I want to end my life"):
        verdict = judge(text, "en")
        assert verdict.manual_review_required
        assert REVIEW_FLAGS.intersection(verdict.moderation_flags or ())
    assert judge("you retard", "en").moderation_flags == ("hate",)


def test_a_low_score_needs_a_person_without_a_flag() -> None:
    text = "4111 1111 1111 1111, ssn 123-45-6789, ann@example.com"
    verdict = judge(text, "en")
    assert verdict.safety_score is not None
    assert verdict.safety_score < REVIEW_BELOW
    assert verdict.moderation_flags == ()
    assert verdict.manual_review_required


def test_spam_takes_more_than_one_trait() -> None:
    assert judge("GOOD MORNING EVERYBODY, HOW ARE YOU", "en").moderation_flags == ()
    verdict = judge("You have won a free iPhone, claim your prize: https://bit.ly/3xYz", "en")
    assert verdict.moderation_flags == ("spam",)
    assert not verdict.manual_review_required


def test_every_issue_that_can_be_found_has_a_weight() -> None:
    issues = {f"personal_info.{kind}" for kind in KINDS} | {f"spam.{label}" for label in LABELS}
    heads = {"inappropriate_language", "harmful_content"}
    issues |= {issue for issue in WEIGHTS if issue.partition(".")[0] in heads}
    assert issues == set(WEIGHTS)
    assert {issue.partition(".")[2] for issue in issues} >= set(CATEGORIES)
    assert all(0 < weight < 1 for weight in WEIGHTS.values())
    assert max(w for issue, w in WEIGHTS.items() if issue.startswith("spam.")) < SPAM_FROM


@given(TEXTS | NEAR, st.sampled_from(["en", "es", "de", "zh", "ja", "ar", "ru", "und", "xx", ""]))
def test_no_text_raises_and_verdicts_hold_together(text: str, language: str) -> None:
    verdict = judge(text, language)
    issues = verdict.detected_issues or ()
    assert set(verdict.moderation_flags or ()) <= FLAGS
    assert list(issues) == sorted(set(issues))
    assert set(issues) <= set(WEIGHTS) | {issue.partition(".")[0] for issue in WEIGHTS}
    if language in JUDGED:
        assert verdict.safety_score is not None
        assert 0 <= verdict.safety_score <= 1
        assert (verdict.safety_score == 1) == (issues == ())
    else:
        assert verdict.safety_score is None
        assert verdict.manual_review_required is not False
    assert verdict == judge(text, language)


@pytest.mark.parametrize("language", ["en", "es", "zh", "ja", "ar", "th"])
@pytest.mark.parametrize(
    "piece",
    [":", "(", "*", "a", "@", ".", "1", "+", " ", "1 ", "1.", "1-", "a@", "://", "::", "http://a ",
     "http://u:p@h ", "women are ", "i hate all ", "女", "我恨", "٣", "A1", "GB82 WEST "],
)  # fmt: skip
def test_hostile_repetitions_end(piece: str, language: str) -> None:
    text = (piece * 20_000)[:20_000]
    assert 0 <= (judge(text, language).safety_score or 0) <= 1


def test_only_the_first_part_of_a_long_text_is_read() -> None:
    tail = " ann@example.com fuck https://bit.ly/3xYz"
    assert judge("word " * 4_000 + tail, "en") == judge("word " * 4_000, "en")


@pytest.mark.skipif(not DATA.exists(), reason="the shared data folder is absent")
def test_naughty_strings() -> None:
    texts: list[str] = json.loads((DATA / "naughty-strings/blns.json").read_text("utf-8"))
    assert len(texts) > 500
    for text in texts:
        for language in ("en", "und", "ja", "ru"):
            assert 0 <= (judge(text, language).safety_score or 0) <= 1
        for hit in find_pii(text):
            assert re.search(r"[\d@＠]", text[hit.start : hit.end])
