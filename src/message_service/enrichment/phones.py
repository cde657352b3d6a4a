"""Finds phone numbers in a text, for the regions the text probably relates to.

There are three rules; the less evidence for a phone number, the stricter the rule:

- Directly after a phone word ("mobile:", "call me at"): any number that is possible in some region.
- With `+` and a country code: any number of a possible length.
- Otherwise: a valid number in a format of one of the regions that the text's language or the
  deployment suggests.

Dates, times, decimals, versions and numbers inside links and identifiers are excluded. Words and
regions are in `data/phones.toml`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

import phonenumbers

DEFAULT_REGIONS = ("US", "GB")
"""Regions of a deployment that configures no regions."""

_SEVEN_DIGITS = re.compile(r"[0-9](?:[ ().\-/]{0,3}[0-9]){6}")
_HEX_BEFORE = re.compile(r"[0-9A-Fa-f]{4}-\Z")
_WORD_BEFORE = re.compile(r"\w\Z")
_DATE_OR_TIMES = re.compile(
    r"\(?(?:(?:19|20)[0-9]{2}([-./ ]?)(?:0?[1-9]|1[0-2])\1(?:0?[1-9]|[12][0-9]|3[01])"
    r"|(?:0?[1-9]|[12][0-9]|3[01])([-./])(?:0?[1-9]|[12][0-9]|3[01])\2(?:19|20)[0-9]{2}"
    r"|(?:[01]?[0-9]|2[0-4])[.][0-5][0-9] ?[-/] ?(?:[01]?[0-9]|2[0-4])[.][0-5][0-9]"
    r"|(?:19|20)[0-9]{2} ?[-/] ?(?:19|20)[0-9]{2})(?: .*)?"
)
# A date with a counter (order and ticket numbers, which would be valid because of area code 202),
# decimals, versions, and times in a kernel log.
_OTHER_NUMBER = re.compile(
    r"20[0-9]{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])[0-9]{1,4}"
    r"|[1-9][0-9]*\.[0-9]{5,}|[02-7]\.[0-9].*|\[.*"
)
_IN_A_LINK_OR_NAME = re.compile(r"[/=_]\Z|\w-\Z")
_TRIES = 300
_LEAST_DIGITS = 7
_NUMBER = (
    r"(?P<number>[+(]{0,2}[0-9](?:[ ().\-/]{0,3}[0-9]){6,14}(?:[ ]?(?:x|ext[.]?)[ ]?[0-9]{1,5})?)"
    r"(?![\w%€$£]|[.,:/-][0-9])"
)


@dataclass(frozen=True, slots=True)
class _Declared:
    """The contents of `data/phones.toml`."""

    regions: dict[str, tuple[str, ...]]
    after_word: re.Pattern[str]


def is_region(code: str) -> bool:
    """Return whether a region (ISO 3166-1, two capital letters) has a numbering plan."""
    known: set[str] = phonenumbers.SUPPORTED_REGIONS
    return code in known


def regions_for(language: str, configured: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the regions whose national formats are recognised.

    Args:
        language: ISO 639-1 code, or `und`.
        configured: The deployment's own regions; when empty, `DEFAULT_REGIONS`.
    """
    suggested = _declared().regions.get(language, ())
    return tuple(dict.fromkeys((*(configured or DEFAULT_REGIONS), *suggested)))


def find_phones(text: str, regions: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yield the start and end of phone numbers; they may overlap.

    Args:
        text: The text, with digits and signs in ASCII.
        regions: Regions whose national formats are recognised.
    """
    if not _SEVEN_DIGITS.search(text):
        return
    for match in _declared().after_word.finditer(text):
        number = match["number"]
        if not _DATE_OR_TIMES.fullmatch(number) and _is_possible(number):
            yield match.span("number")
    if "+" in text:
        for start, end in _matches(text, None, phonenumbers.Leniency.POSSIBLE):
            yield start, end
    for region in regions:
        for start, end in _matches(text, region, phonenumbers.Leniency.VALID):
            # Numbers of eight digits without a prefix, as in Denmark, look like compact dates.
            written = text[start:end]
            if not (
                _DATE_OR_TIMES.fullmatch(written)
                or _OTHER_NUMBER.fullmatch(written)
                or _IN_A_LINK_OR_NAME.search(text[max(0, start - 2) : start])
            ):
                yield start, end


def _matches(text: str, region: str | None, leniency: int) -> Iterator[tuple[int, int]]:
    matcher = phonenumbers.PhoneNumberMatcher(
        text,
        region,
        leniency=leniency,
        max_tries=_TRIES,
        min_candidate_length=_LEAST_DIGITS,
    )
    for match in matcher:
        before = text[max(0, match.start - 5) : match.start]
        # The tail of a UUID or of another identifier with dashes is not a phone number. The matcher
        # does not check the text before a `+`: "UTC+1 ...", "x+49...".
        if not _HEX_BEFORE.search(before) and not (
            text[match.start] == "+" and _WORD_BEFORE.search(before)
        ):
            yield match.start, match.end


@cache
def _everywhere() -> tuple[str, ...]:
    known: set[str] = phonenumbers.SUPPORTED_REGIONS
    return (*DEFAULT_REGIONS, *sorted(known.difference(DEFAULT_REGIONS)))


def _is_possible(number: str) -> bool:
    """Whether a number has a length that some region uses; nearly always the first region does."""
    for region in _everywhere():
        try:
            parsed = phonenumbers.parse(number, region)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_possible_number(parsed):
            return True
    return False


@cache
def _declared() -> _Declared:
    data = resources.files("message_service.enrichment") / "data" / "phones.toml"
    tables: dict[str, dict[str, list[str]]] = tomllib.loads(data.read_text("utf-8"))
    regions = {language: tuple(codes) for language, codes in tables["regions"].items()}
    unknown = {code for codes in regions.values() for code in codes if not is_region(code)}
    if unknown:
        names = ", ".join(sorted(unknown))
        raise ValueError(f"data/phones.toml: there is no numbering plan for {names}")
    words = _any_of(word for several in tables["words"].values() for word in several)
    between = _any_of(tables["between"]["words"])
    return _Declared(
        regions,
        re.compile(
            rf"{words}(?:[\s:=.,#(\-]{{0,4}}{between}){{0,3}}[\s:=.,;#/\-]{{0,4}}{_NUMBER}",
            re.IGNORECASE,
        ),
    )


def _any_of(words: Iterator[str] | Sequence[str]) -> str:
    """Return a pattern that matches whole words, or in unspaced scripts any substring."""
    spaced: list[str] = []
    unspaced: list[str] = []
    for word in sorted(set(words), key=lambda word: (-len(word), word)):
        (unspaced if _UNSPACED.search(word) else spaced).append(
            re.escape(word).replace(r"\ ", r"[ ]")
        )
    return rf"(?:(?<![^\W_])(?:{'|'.join(spaced)})(?![^\W\d_])|(?:{'|'.join(unspaced)}))"


_UNSPACED = re.compile(r"[\u0e00-\u0e7f\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3]")


__all__ = ["DEFAULT_REGIONS", "find_phones", "is_region", "regions_for"]
