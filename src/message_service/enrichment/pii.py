"""Finds personal data in a text, with its position and kind.

Every match is also verified: cards by issuer and Luhn, IBANs by length and mod-97, IP addresses by
the standard library, phone numbers by numbering plans (see `phones`), Bitcoin addresses by their
checksum. Weaknesses: phone numbers in the national format of a region that neither the text's
language nor a phone word suggests, numbers that are spelt out ("oh seven seven ..."), names and
postal addresses (not searched for), US social security numbers without separators (any nine digits
would match).

Only the first `SCANNED` characters are read. Every pattern is bounded, so time is linear in the
length of the text.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from stdnum import bitcoin, iban, luhn

from message_service.enrichment.phones import DEFAULT_REGIONS, find_phones, is_region
from message_service.errors import InvalidInput

SCANNED = 20_000
"""Maximum number of characters of a text that are read."""

KINDS = (
    "iban", "card", "crypto_address", "url_credentials", "email", "us_ssn", "ip", "phone",
)  # fmt: skip
"""Every kind, the most certain first; of two overlapping findings, the more certain is kept."""


@dataclass(frozen=True, slots=True)
class Pii:
    """One piece of personal data.

    Attributes:
        kind: One of `KINDS`.
        start: Its first position, in code points.
        end: The position after its end.
    """

    kind: str
    start: int
    end: int


def find_pii(text: str, regions: tuple[str, ...] = DEFAULT_REGIONS) -> tuple[Pii, ...]:
    """Return the personal data in a text, in order and without overlaps.

    Args:
        text: The text.
        regions: Regions (ISO 3166-1, two letters) whose national phone formats are recognised;
            numbers with a country code or after a phone word are always recognised.

    Raises:
        InvalidInput: A region has no numbering plan.
    """
    regions = _checked(regions)
    text = text[:SCANNED]
    if not _GATE.search(text):
        return ()
    # Digits of any script, wide forms and typographic dashes become ASCII; positions do not change.
    plain = text if text.isascii() else text.translate(_plain())
    found: list[Pii] = []
    if "@" in plain:
        found += _emails(plain)
        found += _credentials(plain)
    digits = len(_DIGIT.findall(plain))
    if digits >= 2 and plain.count(":") >= 2:
        found += _ipv6(plain)
    if digits >= 4 and plain.count(".") >= 3:
        found += _ipv4(plain)
    if digits >= 4:
        found += _ibans(plain)
        found += _crypto_addresses(plain)
    if digits >= 7:
        found += _cards(plain)
        found += (Pii("us_ssn", *match.span()) for match in _SSN.finditer(plain))
        found += (Pii("phone", *span) for span in find_phones(plain, regions))
    return _without_overlaps(found) if len(found) > 1 else tuple(found)


_GATE = re.compile(r"[\d@＠]")
_DIGIT = re.compile(r"[0-9]")
_RANK = {kind: rank for rank, kind in enumerate(KINDS)}


def _without_overlaps(found: list[Pii]) -> tuple[Pii, ...]:
    """Of overlapping findings, keep the most certain kind, then the longest finding."""
    kept: list[Pii] = []
    taken = bytearray(max(hit.end for hit in found))
    for hit in sorted(found, key=lambda hit: (_RANK[hit.kind], hit.start - hit.end, hit.start)):
        if not any(taken[hit.start : hit.end]):
            taken[hit.start : hit.end] = b"\1" * (hit.end - hit.start)
            kept.append(hit)
    return tuple(sorted(kept, key=lambda hit: hit.start))


@cache
def _plain() -> dict[int, str]:
    table: dict[int, str] = dict.fromkeys((0x2010, 0x2011, 0x2012, 0x2013, 0x2212, 0xFF0D), "-")
    table.update({0xA0: " ", 0x2009: " ", 0x202F: " ", 0x3000: " "})
    table.update({0xFF20: "@", 0xFF0E: ".", 0xFF1A: ":", 0xFF0F: "/", 0xFF0B: "+"})
    table.update({0xFF08: "(", 0xFF09: ")"})
    for code in range(0x80, 0x1FC00):  # no digits are assigned above
        if unicodedata.category(chr(code)) == "Nd":
            table[code] = str(unicodedata.digit(chr(code)))
    return table


_LOCAL = frozenset(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.!#$%&'*+-/=?^_`{|}~"
)
_DOMAIN = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,8}(?:xn--[A-Za-z0-9-]{2,59}|[A-Za-z]{2,24})"
    r"(?![A-Za-z0-9_-])"
)
_WIDE_DOMAIN = re.compile(r"(?:[^\W_][\w-]{0,62}\.){1,8}[^\W\d_]{2,24}(?![\w-])")
_REPOSITORY = re.compile(r":[\w.~-]{0,64}/")
_FILES = frozenset(
    {"png", "jpg", "jpeg", "gif", "svg", "webp", "pdf", "css", "html", "json", "txt"}
)


def _emails(text: str) -> Iterator[Pii]:
    at = text.find("@")
    while at != -1:
        start = at
        while start > 0 and at - start < 64 and text[start - 1] in _LOCAL:
            start -= 1
        while start < at and text[start] in "./'*{|`=?&#!$%^~":  # markup and query strings
            start += 1
        for mark in "=/":  # `to=ann@example.com`, `mailto://ann@example.com`
            start = max(start, text.rfind(mark, start, at) + 1)
        # The whole local part: not the tail of a longer one, and no handle (`@ann@example.social`).
        whole = start == 0 or text[start - 1] not in _LOCAL or at - start < 64
        handle = start > 0 and text[start - 1] == "@"
        if start < at and whole and not handle and text[at - 1] != ".":
            domain = _DOMAIN.match(text, at + 1) or _WIDE_DOMAIN.match(text, at + 1)
            if (
                domain is not None
                and domain[0].rpartition(".")[2].lower() not in _FILES
                and not _REPOSITORY.match(text, domain.end())
            ):
                yield Pii("email", start, domain.end())
        at = text.find("@", at + 1)


_USER_PASSWORD_HOST = re.compile(
    r"[^\s/@:?#\"'<>]{0,64}:[^\s/@\"'<>]{1,128}@(?:\[[0-9A-Fa-f:]{2,39}\]|[\w-][\w.-]{0,252})"
)


def _credentials(text: str) -> Iterator[Pii]:
    mark = text.find("://")
    while mark != -1:
        start = mark
        while (
            start > 0
            and mark - start < 20
            and (text[start - 1].isalnum() or text[start - 1] in "+.-")
        ):
            start -= 1
        match = _USER_PASSWORD_HOST.match(text, mark + 3) if start < mark else None
        if match is not None:
            yield Pii("url_credentials", start, match.end())
        mark = text.find("://", mark + 3)


_CARD = re.compile(
    r"(?<![\w.+-])(?:[0-9]{12,19}|[0-9]{4}([ -])[0-9]{4}\1[0-9]{4}\1[0-9]{4}(?:\1[0-9]{1,3})?"
    r"|[0-9]{4}([ -])[0-9]{6}\2[0-9]{4,5})(?![\w]|[.,-][0-9])"
)
# The prefixes of card issuers, with the lengths of their numbers.
_ISSUERS = re.compile(
    r"4(?:[0-9]{12}|[0-9]{15}|[0-9]{18})"
    r"|(?:5[1-5]|2(?:2[0-9]|[3-6][0-9]|7[012]))[0-9]{13,14}(?<=[0-9]{16})"
    r"|3[47][0-9]{13}|(?:1800|2131)[0-9]{11}"
    r"|3(?:0[0-5]|[689][0-9])[0-9]{11}(?:[0-9]{2,5})?"
    r"|35[2-8][0-9]{13,16}|(?:50|5[6-8]|6[0-9]|81)[0-9]{10,17}"
)


def _cards(text: str) -> Iterator[Pii]:
    for match in _CARD.finditer(text):
        number = match[0].replace(" ", "").replace("-", "")
        if _ISSUERS.fullmatch(number) and luhn.is_valid(number):
            yield Pii("card", *match.span())


# Country code, check digits, then groups as printed; the text after an IBAN may look like a group.
_IBAN = re.compile(
    r"(?<![A-Za-z0-9])[A-Za-z]{2}[0-9]{2}(?:[ -]?[A-Za-z0-9]{4}){2,7}(?:[ -]?[A-Za-z0-9]{1,3})?"
)


def _ibans(text: str) -> Iterator[Pii]:
    for match in _IBAN.finditer(text):
        start, end = match.span()
        while end - start >= 15:
            inside_word = end < len(text) and text[end].isascii() and text[end].isalnum()
            if not inside_word and text[end - 1] not in " -" and _is_iban(text[start:end]):
                yield Pii("iban", start, end)
                break
            end -= 1


def _is_iban(written: str) -> bool:
    number = written.replace(" ", "").replace("-", "").upper()
    return (
        15 <= len(number) <= 34
        and int("".join(str(int(c, 36)) for c in number[4:] + number[:4])) % 97 == 1
        and iban.is_valid(number, check_country=False)
    )


_CRYPTO = re.compile(
    r"(?<![A-Za-z0-9])(?:0x[0-9a-fA-F]{40}|bc1[02-9ac-hj-np-z]{11,71}"
    r"|[13][1-9A-HJ-NP-Za-km-z]{25,34})(?![A-Za-z0-9])"
)


def _crypto_addresses(text: str) -> Iterator[Pii]:
    for match in _CRYPTO.finditer(text):
        if match[0].startswith("0x") or bitcoin.is_valid(match[0]):
            yield Pii("crypto_address", *match.span())


_IPV4 = re.compile(r"(?<![\w.-])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?![\w-]|\.[0-9])")
_VERSION = re.compile(r"(?:version|release|firmware|build)[ :=]{0,2}$", re.IGNORECASE)
_IPV6 = re.compile(r"(?<![\w:.])[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,8}(?![\w:]|\.[0-9])")


def _ipv4(text: str) -> Iterator[Pii]:
    for match in _IPV4.finditer(text):
        if _VERSION.search(text[max(0, match.start() - 12) : match.start()]):
            continue
        if _is_somebodys(match[0]):
            yield Pii("ip", *match.span())


def _ipv6(text: str) -> Iterator[Pii]:
    for match in _IPV6.finditer(text):
        written = match[0]
        # Source code often has `a::b`, so the short form is accepted only in assigned space.
        if "::" in written and not re.match(
            r"[23][0-9A-Fa-f]{3}:|f[cde][0-9a-f]{2}:", written, re.I
        ):
            continue
        if _is_somebodys(written):
            yield Pii("ip", *match.span())


def _is_somebodys(address: str) -> bool:
    """Whether it is an IP address of a machine: neither loopback nor unspecified."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return not (parsed.is_loopback or parsed.is_unspecified)


# Areas 000, 666 and 9xx, group 00 and serial 0000 were never issued.
_SSN = re.compile(
    r"(?<![\w.-])(?!000|666|9)[0-9]{3}([ -])(?!00)[0-9]{2}\1(?!0000)[0-9]{4}(?![\w]|[-.][0-9])"
)


@cache
def _checked(regions: tuple[str, ...]) -> tuple[str, ...]:
    for region in regions:
        if not is_region(region):
            raise InvalidInput(
                "regions",
                f"no phone numbering plan for {region!r}",
                "Give two-letter ISO 3166-1 codes in capitals, such as US or GB.",
            )
    return regions
