"""Snippets: pieces of text with the matching places marked; no character is cut in two.

Places are found in the text itself, with the analysis that built the index, so the marks are on
what matched: inflected forms, parts of unspaced text, letters with and without accents.
"""

from __future__ import annotations

import bisect
import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import regex

from message_service.enrichment.stems import forms
from message_service.enrichment.text_statistics import sanitize
from message_service.enrichment.words import PART, Token, occurrences
from message_service.search.parsing import Clause, ClauseKind

SNIPPET_LENGTH = 160
"""Length aimed at, in code points."""

_LEAD = 40
_SCANNED = 20_000
_GRAPHEME = regex.compile(r"\X")


@dataclass(frozen=True, slots=True)
class Snippet:
    """A piece of a message's text.

    Attributes:
        text: The piece; an ellipsis stands where text was left out.
        highlights: Start and end of each matching place, in code points, in order, not touching.
    """

    text: str
    highlights: tuple[tuple[int, int], ...]

    def marked(self, before: str = "**", after: str = "**") -> str:
        """Return the piece with marks around the matching places."""
        return "".join(
            f"{before}{part}{after}" if is_match else part for part, is_match in self._parts()
        )

    def html(self) -> str:
        """Return the piece as HTML, escaped, with `<mark>` around the matching places."""
        return "".join(
            f"<mark>{html.escape(part)}</mark>" if is_match else html.escape(part)
            for part, is_match in self._parts()
        )

    def _parts(self) -> Iterable[tuple[str, bool]]:
        place = 0
        for start, end in self.highlights:
            yield self.text[place:start], False
            yield self.text[start:end], True
            place = end
        yield self.text[place:], False


def make_snippet(text: str, clauses: Sequence[Clause], language: str) -> Snippet:
    """Return the piece of a text that best shows why it matched.

    Args:
        text: The message's text.
        clauses: The clauses of the query.
        language: Language the text was stemmed in.
    """
    cleaned = sanitize(text)[:_SCANNED]
    edges = _edges(cleaned)
    places = _merged(
        (_down(edges, start), _up(edges, end)) for start, end in _places(cleaned, clauses, language)
    )
    start, end = _window(cleaned, places)
    start, end = _down(edges, _word_start(cleaned, start)), _up(edges, end)
    lead, trail = ("…" if start else ""), ("…" if end < len(cleaned) else "")
    shift = len(lead) - start
    return Snippet(
        lead + cleaned[start:end] + trail,
        tuple((a + shift, b + shift) for a, b in places if a >= start and b <= end),
    )


def _places(text: str, clauses: Sequence[Clause], language: str) -> list[tuple[int, int]]:
    words = [c for c in clauses if c.kind is ClauseKind.WORD]
    prefixes = tuple(c.text for c in clauses if c.kind is ClauseKind.PREFIX)
    phrases = [c.text.split(" ") for c in clauses if c.kind is ClauseKind.PHRASE]
    exact = {clause.text for clause in words}
    wanted = {form for clause in words for form in clause.stems}
    tokens = list(occurrences(text))
    found: list[tuple[int, int]] = []
    for token in tokens:
        if (
            token.text in exact
            or token.text in wanted
            or (prefixes and token.text.startswith(prefixes))
            or (
                wanted
                and not token.piece
                and not wanted.isdisjoint(forms(text[token.start : token.end], language))
            )
        ):
            end = token.end
            if token.piece and token.text not in exact:
                end = token.start + max(len(p) for p in prefixes if token.text.startswith(p))
            found.append((token.start, end))
        elif wanted and ("-" in token.text or "'" in token.text) and not token.piece:
            found.extend(_parts_of(text, token, exact | wanted, language))
    for phrase in phrases:
        found.extend(_phrase_places(text, tokens, phrase))
    return sorted(found)


def _parts_of(
    text: str, token: Token, sought: set[str], language: str
) -> Iterable[tuple[int, int]]:
    for part in PART.finditer(text[token.start : token.end]):
        folded = next(iter(occurrences(part[0])), None)
        if folded is not None and (
            folded.text in sought or not sought.isdisjoint(forms(part[0], language))
        ):
            yield token.start + part.start(), token.start + part.end()


def _phrase_places(
    text: str, tokens: Sequence[Token], phrase: list[str]
) -> Iterable[tuple[int, int]]:
    units = _units(tokens)
    for place in range(len(units)):
        start, end = units[place][1], units[place][2]
        for offset, wanted in enumerate(phrase):
            if place + offset >= len(units):
                break
            unit, unit_start, unit_end, is_run = units[place + offset]
            if is_run:
                at = unit.find(wanted)
                if at < 0:
                    break
                first = unit_start + at if unit_end - unit_start == len(unit) else unit_start
                last = first + len(wanted) if unit_end - unit_start == len(unit) else unit_end
                start, end = (first if offset == 0 else start), last
            elif unit == wanted:
                end = unit_end
            else:
                break
        else:
            yield start, end


def _units(tokens: Sequence[Token]) -> list[tuple[str, int, int, bool]]:
    """Return words and whole unspaced runs with their places."""
    units: list[tuple[str, int, int, bool]] = []
    for token in tokens:
        if token.piece and units and units[-1][3] and token.start < units[-1][2]:
            run, start, end, _ = units[-1]
            units[-1] = (run + token.text[1:], start, max(end, token.end), True)
        else:
            units.append((token.text, token.start, token.end, token.piece))
    return units


def _merged(places: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(places):
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _window(text: str, places: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Return the stretch of about `SNIPPET_LENGTH` holding the most matching places."""
    if len(text) <= SNIPPET_LENGTH + _LEAD:
        return 0, len(text)
    if not places:
        return 0, SNIPPET_LENGTH
    best, most = places[0][0], 0
    for start, _ in places[:200]:
        inside = sum(
            1 for a, b in places[:200] if a >= start and b <= start + SNIPPET_LENGTH - _LEAD
        )
        if inside > most:
            best, most = start, inside
    begin = max(0, min(best - _LEAD, len(text) - SNIPPET_LENGTH))
    return begin, min(len(text), begin + SNIPPET_LENGTH)


def _word_start(text: str, start: int) -> int:
    """Move a start back to the start of its word, if that is near."""
    if start == 0 or text[start - 1].isspace():
        return start
    space = max(
        text.rfind(" ", max(0, start - 20), start), text.rfind("\n", max(0, start - 20), start)
    )
    return start if space < 0 else space + 1


def _edges(text: str) -> list[int] | None:
    """Return the boundaries of grapheme clusters; None when each is one code point."""
    if text.isascii():
        return None
    return [0, *(match.end() for match in _GRAPHEME.finditer(text))]


def _down(edges: list[int] | None, place: int) -> int:
    if edges is None:
        return place
    return edges[bisect.bisect_right(edges, place) - 1]


def _up(edges: list[int] | None, place: int) -> int:
    if edges is None:
        return place
    return edges[min(bisect.bisect_left(edges, place), len(edges) - 1)]
