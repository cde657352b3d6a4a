"""Searching one tenant's messages."""

from __future__ import annotations

from datetime import datetime

from message_service import errors
from message_service.arguments import (
    check_flag,
    check_number,
    check_text_argument,
    check_whole_number,
)
from message_service.catalogue.queries.search import USER_TEXT_SEARCH
from message_service.clock import check_datetime
from message_service.database.scope import Scope
from message_service.enrichment.lemmas import dictionaries_read
from message_service.ids import IdKind, check_id
from message_service.messages.rows import StoredMessage
from message_service.messages.runtime import Runtime
from message_service.paging.page import check_limit
from message_service.search import freshness, shown
from message_service.search.candidates import Where
from message_service.search.filters import HIDDEN_ONLY
from message_service.search.listing import Listed, Listing, Place
from message_service.search.parsing import MAX_QUERY, ParsedQuery, parse_query
from message_service.search.results import Count, Freshness, Matched, SearchPage

MAX_HITS = 100
"""Most hits of one page."""


MAX_WAIT = 86_400.0
"""Longest wait for a message to become searchable, in seconds."""


class Search:
    """Searches one tenant's messages.

    Args:
        runtime: What the process shares.
        scope: The tenant's scope.
    """

    def __init__(self, runtime: Runtime, scope: Scope) -> None:
        self._store = runtime.store
        self._scope = scope
        self._signer = runtime.signer
        self._clock = runtime.clock

    async def find(
        self,
        query: str,
        *,
        user_id: str | None = None,
        conversation_id: str | None = None,
        whole_tenant: bool = False,
        limit: int = 20,
        cursor: str | None = None,
        min_sequence: int | None = None,
        wait: float = 2.0,
        include_hidden: bool = False,
    ) -> SearchPage:
        """Return the messages that match a query, best first.

        The query language is described in `search.parsing` and `docs/how-to/search.md`. A scope is
        required: a user, a conversation (or both), by argument or by `user:` and `conversation:`,
        or the whole tenant. Deleted and expired messages are never returned, indexed or not.

        Args:
            query: Words, "phrases", -exclusions, prefixes* and filters; up to 1,000 characters.
            user_id: Search this user's messages.
            conversation_id: Search this conversation.
            whole_tenant: Search everything the tenant has.
            limit: Most hits, 1 to 100.
            cursor: `next` of an earlier page of the same search. Messages whose text was indexed
                after the first page are left out of later pages, so that none is shown twice.
            min_sequence: Wait until the conversation is searchable up to this number (to find
                what was just appended).
            wait: Longest wait for `min_sequence`, in seconds, up to a day.
            include_hidden: Also hidden messages; `status:hidden` in the query finds only those.

        Raises:
            InvalidQuery: The query cannot be understood, or no scope was named.
            InvalidInput: Another argument is wrong (`InvalidId`, `InvalidCursor`).
            NotFound: The tenant has no such conversation.
            IndexBehind: `min_sequence` was not reached in time.
        """
        await dictionaries_read()
        parsed = parse_query(query)
        where = _where(parsed, user_id, conversation_id, whole_tenant=whole_tenant)
        check_limit(limit, highest=MAX_HITS)
        check_number("wait", wait, 0, MAX_WAIT)
        check_flag("include_hidden", include_hidden)
        if min_sequence is not None:
            check_whole_number("min_sequence", min_sequence, 0, 2**63 - 1)
        hidden = include_hidden or HIDDEN_ONLY in parsed.demands
        cursors = self._signer.of(
            *(self._scope.tenant_id, "search", query, sorted(where.within.items()), limit),
            *((include_hidden,) if include_hidden else ()),  # older cursors stay valid
        )
        place = (
            Place(self._clock.now())
            if cursor is None
            else Place.from_json(cursors.position(cursor))
        )
        reached = await self._freshness(where, min_sequence, wait)
        if not parsed.clauses:
            return _nothing(parsed, reached)
        listing = Listing(self._scope, self._clock, parsed, where, limit, hidden=hidden)
        listed = await listing.page(place)
        if not (listed.hits or listed.follows or cursor) and len(parsed.clauses) > 1:
            place = Place(place.as_of, matched="some")
            listed = await listing.page(place)
        follows = listed.follows
        return SearchPage(
            listed.hits,
            next=None if follows is None else cursors.at(*follows.to_json()),
            count=listed.count,
            matched=place.matched,
            freshness=reached,
            notes=_notes(parsed, listed, place.matched),
            examined=listed.examined,
        )

    async def matching(
        self, user_id: str, words: str, *, since: datetime, limit: int = 10
    ) -> list[StoredMessage]:
        """Return a user's messages holding any of these words, best match first.

        The text query of the source design, answered by its text index
        `idx_optimized_text_search`; prefer `find`. `raw["score"]` is the server's text score.

        Args:
            user_id: The user.
            words: Words, `"phrases"` and `-exclusions`, up to 1,000 characters.
            since: Only messages said at or after this moment.
            limit: Most messages, 1 to 100.

        Raises:
            InvalidInput: An argument is wrong.
        """
        check_id(IdKind.USER, "user_id", user_id)
        check_limit(limit, highest=MAX_HITS)
        check_text_argument("words", words, most=MAX_QUERY)
        if not words.strip():
            raise errors.InvalidInput("words", "are blank", "Give at least one word")
        rows = await self._scope.find(
            USER_TEXT_SEARCH,
            limit=limit,
            user_id=user_id,
            words=words,
            since=check_datetime("since", since),
        )
        messages = await shown.read_messages(self._scope, rows)
        now = self._clock.now()
        found = ((row, messages.get(row["message_id"])) for row in rows)
        return [
            StoredMessage({**message, "score": row["score"]})
            for row, message in found
            if message is not None and shown.is_shown(message, now)
        ]

    async def freshness(self, conversation_id: str | None = None) -> Freshness:
        """Return how far the index has come: of one conversation, or of the whole store.

        Raises:
            NotFound: The tenant has no such conversation.
        """
        if conversation_id is None:
            return await freshness.of_store(self._store)
        check_id(IdKind.CONVERSATION, "conversation_id", conversation_id)
        return await freshness.of_conversation(self._scope, conversation_id)

    async def _freshness(self, where: Where, min_sequence: int | None, wait: float) -> Freshness:
        conversation_id = where.within.get("conversation_id")
        if min_sequence is None:
            return await self.freshness(conversation_id)
        if conversation_id is None:
            raise errors.InvalidInput(
                "min_sequence", "needs a conversation", "Give conversation_id as well"
            )
        return await freshness.wait_for(self._scope, conversation_id, min_sequence, wait)


def _where(
    parsed: ParsedQuery, user_id: str | None, conversation_id: str | None, *, whole_tenant: bool
) -> Where:
    within = dict(parsed.within)
    for field, kind, value in (
        ("user_id", IdKind.USER, user_id),
        ("conversation_id", IdKind.CONVERSATION, conversation_id),
    ):
        if value is None:
            continue
        check_id(kind, field, value)
        if within.setdefault(field, value) != value:
            raise errors.InvalidQuery(
                f"query.{field.removesuffix('_id')}",
                f"contradicts the {field} searched in",
                "Leave it out of the query, or search in that scope",
            )
    if not within and not whole_tenant:
        raise errors.InvalidQuery(
            "scope",
            "is missing",
            "Give user_id or conversation_id (or user: or conversation: in the query), or say "
            "whole_tenant=True",
        )
    field = next((name for name in ("conversation_id", "user_id") if name in within), "")
    return Where(field, within)


def _nothing(parsed: ParsedQuery, reached: Freshness) -> SearchPage:
    return SearchPage(
        [],
        None,
        count=Count(0, True),
        matched="all",
        freshness=reached,
        notes=_notes(parsed, None, "all"),
        examined=0,
    )


def _notes(parsed: ParsedQuery, listed: Listed | None, matched: Matched) -> tuple[str, ...]:
    notes: list[str] = []
    if not parsed.clauses:
        notes.append(
            "nothing to look for: only words too common to search by, or signs "
            f"({', '.join(repr(word) for word in parsed.ignored[:5])})"
        )
    elif parsed.ignored:
        notes.append(f"left out, too common: {', '.join(parsed.ignored[:5])}")
    if listed is None:
        return tuple(notes)
    if matched == "some" and listed.hits:
        notes.append("no message has every word; these have some of them")
    if not listed.hits and listed.follows is not None:
        notes.append("nothing among the messages looked at so far; older ones follow with `next`")
    return tuple(notes)
