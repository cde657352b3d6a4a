"""Translates errors of the driver into ours, and raises cancellations the driver lost."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager

from bson.errors import BSONError, InvalidDocument
from pymongo import errors as driver

from message_service import errors

# Server error codes: https://github.com/mongodb/mongo/blob/master/src/mongo/base/error_codes.yml
_UNAUTHORIZED = {13, 18, 8000}
_NO_DISK_SPACE = {14031}
_VALIDATION_FAILED = {121}
_DUPLICATE_KEY = {11000, 11001, 12582}
_NO_TRANSACTIONS = {20, 263}
_CURSOR_LOST = {43, 136, 237}
_TIMED_OUT = {50, 64, 89, 262}
_MISSING_INDEX_HINT = "hint provided does not correspond to an existing index"


@contextmanager
def translated() -> Generator[None]:
    """Translate a driver error raised in the block into an error of our tree, cause chained.

    Raises:
        CancelledError: The task was cancelled in the block, but the driver returned normally: on
            Python 3.11 `asyncio.wait_for`, which the driver uses, can drop a cancellation
            (python/cpython#86296). Without this a timeout around a call would have no effect.
    """
    task = _current_task()
    asked_before = 0 if task is None else task.cancelling()
    try:
        yield
    except (driver.PyMongoError, BSONError) as error:
        if _cancelled_since(task, asked_before):
            raise asyncio.CancelledError from error
        raise translate(error) from error
    if _cancelled_since(task, asked_before):
        raise asyncio.CancelledError


def _cancelled_since(task: asyncio.Task[object] | None, asked_before: int) -> bool:
    # Only new cancellations count: a clean-up after an earlier one may use the database.
    return task is not None and task.cancelling() > asked_before


def _current_task() -> asyncio.Task[object] | None:
    try:
        return asyncio.current_task()
    except RuntimeError:  # outside of an event loop: building a client, for example
        return None


def translate(error: Exception) -> errors.MessageServiceError:
    """Return our error for a driver error. The message never holds credentials or documents."""
    match error:
        case driver.BulkWriteError():
            return _bulk(error)
        case driver.DuplicateKeyError():
            return errors.AlreadyExists("a document with this key exists already")
        case driver.ExecutionTimeout() | driver.WTimeoutError():
            return errors.OutcomeUnknown("the server did not finish in time", code=error.code)
        case driver.OperationFailure():
            return server_error(error.code, str(error.details and error.details.get("errmsg")))
        case driver.ServerSelectionTimeoutError():
            return errors.Unavailable("no usable MongoDB server answered in time")
        case driver.ConnectionFailure():
            return errors.OutcomeUnknown("the connection to MongoDB was lost")
        case driver.DocumentTooLarge():
            return errors.InvalidInput(
                "document", "larger than MongoDB's 16 MB", "Store less in one message"
            )
        case driver.ConfigurationError() | driver.InvalidURI():
            return errors.InvalidInput("uri", str(error), "Check the connection string")
        case InvalidDocument() | BSONError():
            return errors.InvalidInput(
                "document",
                "holds a value BSON cannot store",
                "Use strings, whole numbers below 2^63, floats, decimals, dates, lists and objects",
            )
        case driver.InvalidOperation():
            return errors.Unavailable("the client is closed")
        case _:
            return errors.Internal(f"unexpected driver error: {type(error).__name__}")


def server_error(code: int | None, message: str) -> errors.MessageServiceError:
    """Return our error for a server's error code and message."""
    if code in _UNAUTHORIZED:
        return errors.PermissionDenied("the database user may not do this", code=code)
    if code in _NO_DISK_SPACE or "No space left" in message:
        return errors.StorageFull("the server has no disk space left", code=code)
    if code in _VALIDATION_FAILED:
        return errors.DocumentRefused(
            "the server's validator refused the document; run `message-service db drift`"
        )
    if code in _DUPLICATE_KEY:
        return errors.AlreadyExists("a document with this key exists already")
    if code in _NO_TRANSACTIONS and "ransaction" in message:
        return errors.Unsupported(
            "this server has no transactions: start mongod as a replica set (one node is "
            "enough) and initiate it. What only has to follow a message needs none: it is marked "
            "on the message as work due"
        )
    if code in _CURSOR_LOST:
        return errors.Unavailable("the server has closed a cursor; read again", code=code)
    if code in _TIMED_OUT:
        return errors.OutcomeUnknown("the server did not finish in time", code=code)
    if _MISSING_INDEX_HINT in message:
        return errors.CatalogueError(
            "an index this query needs is missing; run `message-service db apply`"
        )
    return errors.Internal(f"MongoDB answered error {code}: {message[:300]}", code=code)


def _bulk(error: driver.BulkWriteError) -> errors.MessageServiceError:
    details = error.details or {}
    for failure in details.get("writeErrors", []):
        return server_error(failure.get("code"), str(failure.get("errmsg")))
    for failure in details.get("writeConcernErrors", []):
        return errors.OutcomeUnknown(
            "the write was not confirmed by a majority", code=failure.get("code")
        )
    return errors.Internal("a bulk write failed without saying why")
