"""The seam to the driver: each of its errors becomes one of ours, and says nothing secret."""

import pytest
from pymongo import errors as driver

from message_service import errors
from message_service.database.translate import translate, translated


def _driver_errors() -> list[type[driver.PyMongoError]]:
    def tree(cls: type[driver.PyMongoError]) -> list[type[driver.PyMongoError]]:
        return [cls, *(found for sub in cls.__subclasses__() for found in tree(sub))]

    return [
        cls
        for cls in tree(driver.PyMongoError)
        if cls.__module__ == driver.__name__ and not cls.__name__.startswith("Encrypt")
    ]


def _made(cls: type[driver.PyMongoError]) -> driver.PyMongoError:
    if issubclass(cls, driver.BulkWriteError):
        return cls({"writeErrors": [{"code": 13, "errmsg": "no"}]})
    if issubclass(cls, driver.ClientBulkWriteException):
        return cls({}, verbose=False)
    return cls("said by the driver")


@pytest.mark.parametrize("cls", _driver_errors(), ids=lambda cls: cls.__name__)
def test_every_driver_error_has_a_name_of_ours(cls: type[driver.PyMongoError]) -> None:
    ours = translate(_made(cls))
    # What may stay nameless: the root, and features the service does not use.
    nameless = {
        "PyMongoError",
        "ProtocolError",
        "InvalidName",
        "CollectionInvalid",
        "ClientBulkWriteException",
        "OperationFailure",
        "WriteError",
        "CursorNotFound",
        "WriteConcernError",
    }
    assert (type(ours) is errors.Internal) <= (cls.__name__ in nameless)


@pytest.mark.parametrize(
    ("code", "message", "expected"),
    [
        (13, "not authorized", errors.PermissionDenied),
        (18, "Authentication failed.", errors.PermissionDenied),
        (14031, "Out of disk space", errors.StorageFull),
        (9001, "write: No space left on device", errors.StorageFull),
        (121, "Document failed validation", errors.DocumentRefused),
        (11000, "E11000 duplicate key", errors.AlreadyExists),
        (20, "Transaction numbers are only allowed on a replica set", errors.Unsupported),
        (50, "operation exceeded time limit", errors.OutcomeUnknown),
        (2, "hint provided does not correspond to an existing index", errors.CatalogueError),
        (1, "whatever", errors.Internal),
    ],
)
def test_server_codes(code: int, message: str, expected: type[errors.MessageServiceError]) -> None:
    error = driver.OperationFailure(message, code, {"errmsg": message})
    assert type(translate(error)) is expected
    bulk = driver.BulkWriteError({"writeErrors": [{"code": code, "errmsg": message}]})
    assert type(translate(bulk)) is expected


def test_an_unconfirmed_write_has_an_unknown_outcome() -> None:
    bulk = driver.BulkWriteError({"writeErrors": [], "writeConcernErrors": [{"code": 64}]})
    assert type(translate(bulk)) is errors.OutcomeUnknown


def test_the_cause_is_chained_but_not_repeated() -> None:
    with pytest.raises(errors.Unavailable) as caught, translated():
        raise driver.ServerSelectionTimeoutError("mongodb://user:hunter2@host refused")
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is not None
    assert caught.value.retryable


def test_other_errors_pass() -> None:
    with pytest.raises(KeyError), translated():
        raise KeyError("ours")
