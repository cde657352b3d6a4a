"""Snippets: pieces of text with the matching places marked; no character is cut in two.

Places are found in the text itself, with the analysis that built the index, so the marks are on
what matched: inflected forms, parts of unspaced text, letters with and without accents.
"""

from __future__ import annotations

import bisect
import html
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import regex

from message_service.enrichment.folding import fold
from message_service.enrichment.name_parts import dotted_names, inner_spans
from message_service.enrichment.text_statistics import sanitize
from message_service.enrichment.tokens import Kind, Unit, compatible, folded_unit, units
from message_service.enrichment.words import add_broken_terms, add_terms, own_terms
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
    words = [clause for clause in clauses if clause.kind is ClauseKind.WORD]
    sought = frozenset(form for clause in words for forms in clause.lookups for form in forms)
    prefixes = tuple(c.text for c in clauses if c.kind is ClauseKind.PREFIX)
    phrases = [c.text.split(" ") for c in clauses if c.kind is ClauseKind.PHRASE]
    asked = _Asked(sought, prefixes, language)
    found: list[tuple[int, int]] = []
    known = [(unit, folded_unit(unit.text, unit.kind)) for unit in units(text)]
    known = [(unit, folded) for unit, folded in known if folded]
    for unit, folded in known:
        if unit.kind is Kind.RUN:
            spans = [span for prefix in prefixes for span in _in_run(unit.text, prefix)]
        else:
            spans = asked.spans(unit, folded, text)
        found.extend((unit.starts[start], unit.ends[end - 1]) for start, end in spans)
    for phrase in phrases:
        found.extend(_phrase_places(known, phrase))
    if any(form.startswith(".") for form in sought):
        same, starts, ends = compatible(text)
        found.extend(
            (starts[start], ends[end - 1])
            for start, end in dotted_names(same)
            if fold(same[start:end]) in sought
        )
    return sorted(found)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the single words of a query look for.

    Attributes:
        sought: The terms looked up.
        prefixes: The prefixes looked up.
        language: Language the text was stemmed in.
    """

    sought: frozenset[str]
    prefixes: tuple[str, ...]
    language: str

    def spans(self, unit: Unit, folded: str, text: str) -> list[tuple[int, int]]:
        """Return the places in a word or emoji that match: the whole, or its matching parts."""
        if not self.sought and not self.prefixes:
            return []
        written = unit.text
        whole = [(0, len(written))]
        if unit.kind is Kind.WORD:
            if self._match(written, folded):
                return whole
            parts = [(a, b) for a, b in inner_spans(written) if self._match(written[a:b])]
            if parts:
                return _smallest(parts)
        terms: dict[str, None] = {}
        add_terms(terms, written, folded, unit.kind, self.language)
        add_broken_terms(terms, text[unit.starts[0] : unit.ends[-1]], self.language)
        return [] if self.sought.isdisjoint(terms) else whole

    def _match(self, written: str, folded: str | None = None) -> bool:
        folded = fold(written) if folded is None else folded
        if self.prefixes and folded.startswith(self.prefixes):
            return True
        return not self.sought.isdisjoint(own_terms(written, folded, self.language))


def _smallest(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the spans that contain no other span."""
    kept: list[tuple[int, int]] = []
    for start, end in sorted(spans, key=lambda span: span[1] - span[0]):
        if not any(start <= a and b <= end for a, b in kept):
            kept.append((start, end))
    return kept


def _in_run(run: str, wanted: str) -> Iterator[tuple[int, int]]:
    """Yield the places of a text in an unspaced run."""
    at = run.find(wanted)
    while at >= 0:
        yield at, at + len(wanted)
        at = run.find(wanted, at + len(wanted))


def _phrase_places(
    known: Sequence[tuple[Unit, str]], phrase: Sequence[str]
) -> Iterator[tuple[int, int]]:
    last = len(phrase) - 1
    for place in range(len(known) - last):
        first, final = known[place][0], known[place + last][0]
        found = [
            _phrase_part(*known[place + offset], wanted, opens=offset == 0, closes=offset == last)
            for offset, wanted in enumerate(phrase)
        ]
        if all(found):
            starts, ends = found[0], found[-1]
            if last:
                yield first.starts[starts[-1][0]], final.ends[ends[0][1] - 1]
            else:
                yield from ((first.starts[start], first.ends[end - 1]) for start, end in starts)


def _phrase_part(
    unit: Unit, folded: str, wanted: str, *, opens: bool, closes: bool
) -> list[tuple[int, int]]:
    """Return the places of one word of a phrase in a unit.

    Only the first word of a phrase may begin, and only the last may end, inside an unspaced run.
    """
    if unit.kind is not Kind.RUN:
        return [(0, len(unit.text))] if folded == wanted else []
    return [
        (start, end)
        for start, end in _in_run(unit.text, wanted)
        if (opens or start == 0) and (closes or end == len(unit.text))
    ]


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
