"""How far the search index has come, read from the marks the messages carry."""

from __future__ import annotations

import asyncio
from datetime import datetime

from message_service import errors
from message_service.catalogue.follower import BACKLOG, LIVE
from message_service.catalogue.followers.enrichment import ENRICHMENT
from message_service.catalogue.queries.conversations import CONVERSATION_BY_ID
from message_service.catalogue.queries.indexing import (
    INDEXING_BEHIND,
    INDEXING_REFUSED,
    INDEXING_REFUSED_ANYWHERE,
)
from message_service.catalogue.queries.messages import CONVERSATION_TAIL
from message_service.database.scope import Scope
from message_service.database.store import Store
from message_service.search.results import Freshness
from message_service.stopping import within

_FIRST_PAUSE = 0.01
_LONGEST_PAUSE = 0.1
_ANSWER = 2.0
_COUNTED = 1_000


async def of_conversation(scope: Scope, conversation_id: str) -> Freshness:
    """Return up to which number a conversation is searchable.

    The highest number is read first, so that later writes cannot make the answer too good.

    Raises:
        NotFound: The tenant has no such conversation.
    """
    tail = await scope.find_one(CONVERSATION_TAIL, committed=True, conversation_id=conversation_id)
    if tail is None and not await scope.find_one(
        CONVERSATION_BY_ID, conversation_id=conversation_id
    ):
        raise errors.NotFound("conversation", conversation_id)
    behind, refused = await asyncio.gather(
        scope.find_one(INDEXING_BEHIND, conversation_id=conversation_id),
        scope.find(INDEXING_REFUSED, limit=_COUNTED, conversation_id=conversation_id),
    )
    last = tail["sequence_number"] if tail else 0
    if behind is not None:
        last = min(last, behind["sequence_number"] - 1)
    return Freshness(
        complete=behind is None and not refused, complete_to=last, refused=len(refused)
    )


async def of_store(store: Store) -> Freshness:
    """Return the moment up to which everything written is searchable."""
    refused, *oldest = await asyncio.gather(
        store.find_everywhere(INDEXING_REFUSED_ANYWHERE, limit=_COUNTED),
        *(store.find_everywhere(ENRICHMENT.oldest, limit=1, rank=rank) for rank in (LIVE, BACKLOG)),
    )
    waiting: list[datetime] = [
        row["enrichment"]["pending_since"] for rows in oldest for row in rows
    ]
    return Freshness(
        complete=not waiting and not refused,
        complete_before=min(waiting, default=None),
        refused=len(refused),
    )


async def wait_for(
    scope: Scope, conversation_id: str, sequence_number: int, seconds: float
) -> Freshness:
    """Wait until a conversation is searchable up to a number.

    Raises:
        IndexBehind: The number was not reached in time; the error says how far the index is.
        Unavailable: The database did not answer in time.
    """
    limit = seconds + _ANSWER
    try:
        return await within(limit, _ask_until(scope, conversation_id, sequence_number, seconds))
    except TimeoutError:
        raise errors.Unavailable(f"MongoDB did not answer in {limit:g} s") from None


async def _ask_until(
    scope: Scope, conversation_id: str, sequence_number: int, seconds: float
) -> Freshness:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    pause = _FIRST_PAUSE
    while True:
        reached = await of_conversation(scope, conversation_id)
        if reached.complete_to is not None and reached.complete_to >= sequence_number:
            return reached
        if loop.time() >= deadline:
            raise errors.IndexBehind(
                f"conversation {conversation_id!r} is searchable up to message "
                f"{reached.complete_to}, not yet {sequence_number}; wait longer, or see that an "
                "indexer runs (message-service search index)",
                complete_to=reached.complete_to,
                wanted=sequence_number,
            )
        await asyncio.sleep(min(pause, max(0.0, deadline - loop.time())))
        pause = min(_LONGEST_PAUSE, pause * 2)
