"""The query language: words, "phrases", -not, prefix*, and filters such as role:user.

    pizza "extra cheese" -pineapple napol* role:user from:2025-01-01 has:link

A hit has every word (in any of its inflected forms) and every phrase, and nothing that follows a
minus. Case and accents are ignored. Stop words count only inside phrases.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from message_service import errors
from message_service.catalogue.demands import AnyTerm, Demand, EntryField, FieldIs, Not
from message_service.enrichment.stop_words import STOP_WORDS
from message_service.enrichment.text_statistics import sanitize
from message_service.enrichment.tokens import is_unspaced, occurrences, without_format
from message_service.search.clauses import Clause, ClauseKind, dotted_name, word
from message_service.search.endings import without_ending
from message_service.search.filters import FILTER_BY_NAME, FILTERS

MAX_QUERY = 1_000
"""Most characters of a query."""

MAX_CLAUSES = 24
"""Most words, phrases and filters of a query."""

MIN_PREFIX = 2
"""Fewest characters before a star; one is enough in Chinese, Japanese and Korean."""

_ITEM = re.compile(r'(?P<minus>-?)(?:(?P<name>[A-Za-z_]+):)?(?:"(?P<quoted>[^"]*)"|(?P<bare>\S+))')
_DOTTED = re.compile(r"\.[A-Za-z]")
_QUOTES = str.maketrans("“”„«»", '"""""')


@dataclass(frozen=True, slots=True)
class ParsedQuery:
    """A parsed query.

    Attributes:
        clauses: Clauses that must be found.
        excluded: Clauses that must be absent.
        demands: Demands of the filters on fields of the entry.
        within: Values of `conversation:` and `user:`, by field.
        ignored: Stop words and signs that were left out.
    """

    clauses: tuple[Clause, ...]
    excluded: tuple[Clause, ...]
    demands: tuple[Demand, ...]
    within: Mapping[str, str]
    ignored: tuple[str, ...]


def parse_query(text: str) -> ParsedQuery:
    """Parse a query.

    Raises:
        InvalidQuery: The query is empty or too long, has unbalanced quotes, an unknown filter, a
            wrong value or too short a prefix, or it only excludes.
    """
    cleaned = _checked(text)
    language = _language_filter(cleaned)
    clauses: list[Clause] = []
    excluded: list[Clause] = []
    demands: list[Demand] = []
    within: dict[str, str] = {}
    ignored: list[str] = []
    for item in _ITEM.finditer(cleaned):
        value = item["quoted"] if item["quoted"] is not None else item["bare"]
        named = item["name"]
        if named is None and value.endswith(":") and value[:-1].lower() in FILTER_BY_NAME:
            named, value = value[:-1], ""
        if named is not None and not value.startswith("//"):
            negated = bool(item["minus"])
            _add_filter(named.lower(), value, negated, clauses, excluded, demands, within)
            continue
        written = value if named is None else f"{named}:{value}"
        found = list(_phrase(written) if item["quoted"] is not None else _words(written, language))
        if not found:
            ignored.append(written)
        (excluded if item["minus"] else clauses).extend(found)
    if len(clauses) + len(excluded) + len(demands) > MAX_CLAUSES:
        raise errors.InvalidQuery(
            "query", "has too many parts", f"Use at most {MAX_CLAUSES} words, phrases and filters"
        )
    if not clauses and (excluded or demands) and not ignored:
        raise errors.InvalidQuery(
            "query",
            "only excludes or filters",
            "Add a word to look for, or one of has: and topic:",
        )
    return ParsedQuery(
        _distinct(clauses), _distinct(excluded), tuple(demands), within, tuple(ignored)
    )


def _checked(text: str) -> str:
    if not isinstance(text, str) or not text.strip():  # pyright: ignore[reportUnnecessaryIsInstance]
        raise errors.InvalidQuery("query", "is empty", "Give at least one word")
    if len(text) > MAX_QUERY:
        raise errors.InvalidQuery(
            "query", f"has {len(text):,} characters", f"Use at most {MAX_QUERY:,}"
        )
    cleaned = sanitize(text.encode("utf-8", "replace").decode("utf-8")).translate(_QUOTES)
    cleaned = without_format(cleaned)
    if cleaned.count('"') % 2:
        raise errors.InvalidQuery(
            "query",
            "has a quotation mark without its partner",
            "Close the phrase, or drop the mark",
        )
    return cleaned


def _language_filter(cleaned: str) -> str | None:
    found = re.search(r"(?:^|\s)lang:([A-Za-z]{2})(?:\s|$)", cleaned)
    return None if found is None else found[1].lower()


def _add_filter(
    name: str,
    value: str,
    negated: bool,
    clauses: list[Clause],
    excluded: list[Clause],
    demands: list[Demand],
    within: dict[str, str],
) -> None:
    known = FILTER_BY_NAME.get(name)
    if known is None:
        names = ", ".join(f"{each.name}:" for each in FILTERS)
        raise errors.InvalidQuery(
            "query", f"has an unknown filter {name[:40]!r}", f"Use {names} or put it in quotes"
        )
    if not value:
        raise errors.InvalidQuery(
            f"query.{name}", "has no value", f"Give one, for example {name}:{known.example}"
        )
    demand = known.demand(value)
    match demand:
        case AnyTerm((term,)):
            clause = Clause(ClauseKind.LABEL, term, ((term,),), negated=negated)
            (excluded if negated else clauses).append(clause)
        case FieldIs((EntryField.CONVERSATION | EntryField.USER) as field, identifier) if (
            not negated
        ):
            if within.setdefault(field.value, identifier) != identifier:
                raise errors.InvalidQuery(f"query.{name}", "is given twice", "Give it once")
        case _:
            demands.append(Not(demand) if negated else demand)


def _words(written: str, language: str | None) -> Iterator[Clause]:
    """Yield the clauses of unquoted text."""
    starred = written.endswith("*") and len(written) > 1
    runs: list[tuple[int, int]] = []
    singles: list[Clause] = []
    last = -1
    for token in occurrences(written):
        if token.piece:
            # Pieces of one unspaced run belong together: they are looked for as one phrase.
            if runs and token.start <= runs[-1][1]:
                runs[-1] = (runs[-1][0], max(runs[-1][1], token.end))
            else:
                runs.append((token.start, token.end))
            continue
        last = max(last, token.end)
        is_last = starred and token.end >= len(written.rstrip("*"))
        if is_last:
            if len(token.text) < MIN_PREFIX:
                raise errors.InvalidQuery(
                    "query",
                    f"has too short a prefix {written[:40]!r}",
                    f"Give at least {MIN_PREFIX} characters before the star",
                )
            singles.append(Clause(ClauseKind.PREFIX, token.text, (), prefix=token.text))
        elif token.start == 1 and _DOTTED.match(written):
            singles.append(dotted_name(token.text))
        elif token.text not in STOP_WORDS:
            singles.append(word(written[token.start : token.end], token.text, language))
    yield from singles
    for start, end in runs:
        yield from _phrase(without_ending(written[start:end]))


def _phrase(written: str) -> Iterator[Clause]:
    """Yield the clause of a phrase, or nothing when it has no words."""
    pieces: dict[str, None] = {}
    words: list[str] = []
    run_end = -1
    for token in occurrences(written):
        if token.piece and token.start < run_end:
            words[-1] += token.text[1:] if len(token.text) > 1 else ""
        else:
            words.append(token.text)
        run_end = token.end if token.piece else -1
        if token.text not in STOP_WORDS:
            pieces[token.text] = None
    text = " ".join(words)
    if not text:
        return
    single = is_unspaced(text) and len(text) == 1
    if single:
        yield Clause(ClauseKind.PREFIX, text, (), prefix=text)
    elif pieces:
        yield Clause(ClauseKind.PHRASE, text, tuple((piece,) for piece in list(pieces)[:8]))


def _distinct(clauses: list[Clause]) -> tuple[Clause, ...]:
    return tuple(dict.fromkeys(clauses))
