"""Updates that do not wait for the transactions of others.

An update of a document that an open transaction has changed is tried again by the server until that
transaction ends. If its process was killed, that is `transactionLifetimeLimitSeconds` (60) later,
and everything behind it waits as well.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pymongo
from pymongo import ReturnDocument
from pymongo.errors import ExecutionTimeout

from message_service import errors
from message_service.database.access import Access, hint_of
from message_service.database.bulk import Update
from message_service.database.query import Query
from message_service.database.translate import server_error, translated
from message_service.documents.row import Row

_SHORT_MS = 250
_AT_ONCE = 8
_TIMED_OUT = 50


@dataclass(frozen=True, slots=True)
class Updated:
    """What an update has done.

    Attributes:
        count: Documents that were changed; None when that is not known.
        locked: The `_id`s of those that somebody's transaction holds. A busy server may look the
            same, so it must not matter whether one of them was changed.
    """

    count: int | None
    locked: frozenset[Any] = frozenset()


@contextmanager
def hurried(seconds: float) -> Generator[None]:
    """Give everything within so much time together; then it ends with `Unavailable`."""
    with pymongo.timeout(seconds):
        yield


async def update_unlocked(
    access: Access,
    query: Query,
    update: Update,
    ids: Sequence[Any],
    values: Mapping[str, Any],
    seconds: float,
) -> Updated:
    """Update those of these documents that no transaction holds; see `Store.update_unlocked`."""
    count = await _update(access, query, update, {**values, "ids": ids}, int(seconds * 1000))
    if count is not None:
        return Updated(count)
    few = asyncio.Semaphore(_AT_ONCE)

    async def one(each: Any) -> bool:
        async with few:
            alone = {**values, "ids": [each]}
            return await _update(access, query, update, alone, _SHORT_MS) is None

    timed_out = await asyncio.gather(*(one(each) for each in ids))
    return Updated(None, frozenset(i for i, late in zip(ids, timed_out, strict=True) if late))


async def take_unlocked(
    access: Access, query: Query, update: Update, values: Mapping[str, Any], seconds: float
) -> tuple[Row | None, bool]:
    """Update one document unless a transaction holds it; see `Store.take_unlocked`."""
    with translated():
        try:
            row = await access.collection(query.collection).find_one_and_update(
                query.build(**values),
                update,
                return_document=ReturnDocument.AFTER,
                hint=hint_of(query),
                comment=query.name,
                maxTimeMS=max(int(seconds * 1000), 1),
            )
        except ExecutionTimeout:
            return None, True
    return row, False


async def _update(
    access: Access, query: Query, update: Update, values: Mapping[str, Any], milliseconds: int
) -> int | None:
    """Send one update of many documents; return how many it changed, None if it took too long.

    The driver's own call takes no time limit but that of the socket.
    """
    collection = access.collection(query.collection)
    change: dict[str, Any] = {"q": query.build(**values), "u": update, "multi": True}
    if (hint := hint_of(query)) is not None:
        change["hint"] = hint
    with translated():
        try:
            answer = await access.database.command(
                {
                    "update": collection.name,
                    "updates": [change],
                    "maxTimeMS": max(milliseconds, 1),
                    "writeConcern": collection.write_concern.document,
                    "comment": query.name,
                }
            )
        except ExecutionTimeout:
            return None
    for failure in answer.get("writeErrors", ()):
        if failure["code"] == _TIMED_OUT:
            return None
        raise server_error(failure["code"], str(failure.get("errmsg")))
    if "writeConcernError" in answer:
        code = answer["writeConcernError"].get("code")
        raise errors.OutcomeUnknown("the write was not confirmed by a majority", code=code)
    changed: int = answer["nModified"]
    return changed
