"""What an update in the oplog makes of a document, by the rules of the server's own applier.

The oplog of MongoDB 6.0 and later knows two forms of `o` in an entry with `op: "u"`: a whole
document, and `{"$v": 2, "diff": ...}`. A diff of a document has up to four kinds of keys:

    {"d": {name: false}, "u": {name: value}, "i": {name: value}, "s<name>": diff of that field}

A diff of an array begins with `a`, and may give the array's new length:

    {"a": true, "l": 3, "u<index>": value, "s<index>": diff of that element}

An entry may be applied again to a document that has it, and later ones, already. What it finds may
then be missing or of another type, and the document in between may be one that never was; after the
last entry it is right again. The rules are those of the server's `document_diff_applier.cpp`.

Not understood, and refused: `b` of MongoDB 8.0 (parts of binary values; written for the buckets of
time series only), and what no server from 6.0 on writes, such as `$v: 1` with `$set` and `$unset`,
which these servers refuse to apply themselves.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, cast

from message_service import errors

_DELETED, _CHANGED, _INSERTED = "d", "u", "i"
_SUB_DIFF = "s"
_IS_ARRAY, _LENGTH = "a", "l"
_ELEMENT = re.compile(r"[us](?:0|[1-9][0-9]*)", re.ASCII)


def updated(document: dict[str, Any], update: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document as it is after one update, its fields in the server's order.

    Args:
        document: The document before. It is left as it is; the result shares with it, and with
            the update, whatever parts are the same.
        update: The field `o` of an oplog entry with `op: "u"`.

    Raises:
        Unsupported: There is something in the update that this release does not know.
    """
    # As the server does: a whole document is known by its `_id`, which no diff may change, since
    # its other fields may have any name: since MongoDB 5.0 even `$v` and `$set`.
    if "_id" in update:
        return dict(update)
    if update.get("$v") != 2:
        raise _not_understood(f"its version is {update.get('$v')!r}, not 2")
    for key in update:
        if key not in ("$v", "diff"):
            raise _not_understood(f"it has {key!r} beside the diff")
    return _document_after(document, _diff(update.get("diff"), "diff"))


def _document_after(document: dict[str, Any], diff: dict[str, Any]) -> dict[str, Any]:
    sections: dict[str, dict[str, Any]] = {_DELETED: {}, _CHANGED: {}, _INSERTED: {}}
    within: dict[str, dict[str, Any]] = {}
    for key, content in diff.items():
        if key in sections:
            sections[key] = _document(content, key)
        elif key.startswith(_SUB_DIFF):
            within[key[1:]] = _diff(content, key)
        else:
            raise _not_understood(f"the diff of a document has {key!r}")
    deleted, changed, inserted = sections.values()
    _check_once(deleted, changed, inserted, within)

    result = dict(document)
    for name in deleted:
        result.pop(name, None)
    for name in inserted:
        result.pop(name, None)  # so that it is last below
    result.update(changed)  # in place where it is, at the end where a later update took it away
    for name, change in within.items():
        if name in result:
            result[name] = _value_after(result[name], change)
    result.update(inserted)
    return result


def _array_after(array: list[Any], diff: dict[str, Any]) -> list[Any]:
    if diff[_IS_ARRAY] is not True:
        raise _not_understood(f"{_IS_ARRAY!r} in the diff of an array is not true")
    length = diff.get(_LENGTH)
    if length is not None and (type(length) is not int or length < 0):
        raise _not_understood(f"{_LENGTH!r} in the diff of an array is not a length")
    result = array[:length]
    before = -1
    for key, change in diff.items():
        if key in (_IS_ARRAY, _LENGTH):
            continue
        if _ELEMENT.fullmatch(key) is None:
            raise _not_understood(f"the diff of an array has {key!r}")
        index = int(key[1:])
        if index <= before or (length is not None and index >= length):
            raise _not_understood(f"{key!r} in the diff of an array is out of place")
        before = index
        _pad(result, index + 1)
        if key.startswith(_SUB_DIFF):
            change = _value_after(result[index], _diff(change, key))
        result[index] = change
    _pad(result, length or 0)
    return result


def _value_after(value: Any, diff: dict[str, Any]) -> Any:
    """Return a field or an element after its own diff.

    One of another type becomes null: a later update gave it that type, and will do so again.
    """
    if hasattr(value, "as_doc"):
        # A document with `$ref`, which the driver decodes to an object of its own (`DBRef`).
        raise _not_understood(f"it changes a part of a {type(value).__name__}")
    if next(iter(diff)) == _IS_ARRAY:
        return _array_after(cast("list[Any]", value), diff) if isinstance(value, list) else None
    return _document_after(cast("dict[str, Any]", value), diff) if isinstance(value, dict) else None


def _pad(array: list[Any], length: int) -> None:
    array.extend([None] * (length - len(array)))


def _document(content: Any, key: str) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise _not_understood(f"{key!r} is of type {type(content).__name__}, not a document")
    return cast("dict[str, Any]", content)


def _diff(content: Any, key: str) -> dict[str, Any]:
    diff = _document(content, key)
    if not diff:
        raise _not_understood(f"{key!r} is empty")
    return diff


def _check_once(*parts: dict[str, Any]) -> None:
    """Refuse a name in two parts of a diff: which of them comes first is not said anywhere."""
    names: set[str] = set()
    for part in parts:
        if twice := names.intersection(part):
            raise _not_understood(f"the diff of a document has {min(twice)!r} twice")
        names.update(part)


def _not_understood(what: str) -> errors.Unsupported:
    return errors.Unsupported(f"an update in the oplog is not understood: {what}")
