"""Transactions: several writes that are stored together, or not at all.

The work is a function, not a block, because an attempt that another writer or a failover interrupts
is run again from its beginning. So side effects of the work, other than reads and writes in the
transaction, must be idempotent or wait for `Transaction.after_commit`.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pymongo
from pymongo import errors as driver
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.read_concern import ReadConcern

from message_service import errors
from message_service.database.access import TRANSIENT, Access
from message_service.database.client import DURABLE
from message_service.database.translate import translated

SECONDS = 30.0
"""How long a transaction is tried when nothing else is said."""

_COMMIT_UNKNOWN = "UnknownTransactionCommitResult"
_NOTHING = "the transaction was given up at its deadline, and nothing was written"

T = TypeVar("T")


class Transaction:
    """One attempt at a transaction.

    `Store.within` and `Scope.within` return the store and a tenant's scope inside it. Reads see a
    snapshot of the database and the transaction's own writes. A refused write ends the attempt.

    Args:
        access: The collections, bound to the transaction's session.
    """

    def __init__(self, access: Access) -> None:
        self.access = access
        self._after_commit: list[Callable[[], object]] = []

    def after_commit(self, call: Callable[[], object]) -> None:
        """Call a function after the commit, and only then; it must not block."""
        self._after_commit.append(call)

    def committed(self) -> None:
        """Call the functions that wait for the commit."""
        for call in self._after_commit:
            call()


Work = Callable[[Transaction], Awaitable[T]]


async def run_transaction(access: Access, work: Work[T], seconds: float) -> T:
    """Run work in a transaction; see `Store.transaction`.

    The driver's `with_transaction` repeats the attempt and the commit as its specification demands
    (mongodb/specifications, transactions-convenient-api).
    """
    if access.session is not None:
        raise TypeError("a transaction cannot be begun inside another; pass on the one there is")
    attempt = Transaction(access)

    async def attempted(session: AsyncClientSession) -> T:
        nonlocal attempt
        attempt = Transaction(Access(access.database, session))
        working = work(attempt)
        if not inspect.isawaitable(working):  # pyright: ignore[reportUnnecessaryComparison]
            raise errors.InvalidInput("work", "is not async", "Give an async function")
        try:
            result = await working
        except errors.MessageServiceError as error:
            cause = error.__cause__
            if isinstance(cause, driver.PyMongoError) and cause.has_error_label(TRANSIENT):
                if attempt.access.refusal is not None:  # the work went on after a refused write
                    raise attempt.access.refusal from error
                raise cause from error  # the driver decides by the error's label
            if isinstance(error, errors.OutcomeUnknown):  # of a write before the commit
                raise errors.Unavailable(f"{error.message}; {_NOTHING}") from error
            raise
        if attempt.access.refusal is not None:
            raise attempt.access.refusal
        return result

    with translated():
        try:
            with pymongo.timeout(seconds):
                async with access.database.client.start_session() as session:
                    result = await session.with_transaction(
                        attempted, read_concern=ReadConcern("snapshot"), write_concern=DURABLE
                    )
        except driver.PyMongoError as error:
            raise _ended(error) from error
    attempt.committed()
    return result


def _ended(error: driver.PyMongoError) -> Exception:
    """Return the error of a transaction that was not, or not surely, committed."""
    labelled: BaseException | None = error
    while isinstance(labelled, driver.PyMongoError):
        if labelled.has_error_label(_COMMIT_UNKNOWN):
            return errors.OutcomeUnknown("no answer to the commit before the deadline")
        if labelled.has_error_label(TRANSIENT):
            return errors.Unavailable(f"other writes or a failover came in between; {_NOTHING}")
        labelled = labelled.__cause__
    return error
