"""Flattens a tree of messages into branches.

The shown path becomes `main`. Every other child of a message on that path starts a branch, which
continues with first children; further children start their own branches. So each message is on one
branch, and the path from the root to a leaf consists of the messages shared with the parent
branches, followed by those of the leaf's branch.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass

from message_service.interchange.reading.records import MAIN_BRANCH, ImportedBranch, ImportedMessage

BranchNamer = Callable[[ImportedMessage, int], str]
"""Proposes a branch's name from its first message and its number, counted from 1."""

_MAX_NAME = 120  # of 128: leaves room for a number that makes equal names unique
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9._:-]+")


@dataclass(slots=True)
class FlatTree:
    """A tree in storage order.

    Attributes:
        messages: `main` first, then branch by branch; parents before children.
        branches: The branches other than `main`, in the same order.
    """

    messages: list[ImportedMessage]
    branches: list[ImportedBranch]


def flatten(
    messages: Sequence[ImportedMessage],
    *,
    dropped: Mapping[str, str | None] | None = None,
    shown: str | None = None,
    name_branch: BranchNamer | None = None,
) -> FlatTree:
    """Put a tree in storage order; sets `parent` and `branch` of each message in place.

    A message whose parent does not exist becomes a root with `custom["orphaned"]`, and so does one
    message of each cycle. There is no recursion, so a thread may have any length.

    Args:
        messages: The tree, with its edges in `parent`; siblings (and roots) in order of preference.
            Ids are unique.
        dropped: Nodes that are not stored, with their parents; their children move up.
        shown: The node whose path from the root is `main`; by default, `main` follows the preferred
            children from the first root.
        name_branch: Proposes names of branches (made valid and unique here); the default is
            `alt-1`, `alt-2` ...
    """
    if not messages:
        return FlatTree([], [])
    by_id = {message.external_id: message for message in messages}
    dropped = dropped or {}
    resolved: dict[str, _Place] = {}
    for message in messages:
        _attach(message, _nearest(message.parent, by_id, dropped, resolved))
    _break_rings(messages, by_id)
    children: dict[str | None, list[ImportedMessage]] = {}
    for message in messages:
        children.setdefault(message.parent, []).append(message)
    last = _nearest(shown, by_id, dropped, resolved).parent
    main = _path_to(by_id[last], by_id) if last else _first_path(children[None][0], children)
    return _branches(main, children, name_branch or _numbered)


def safe_branch_name(name: str) -> str:
    """Return `name` as a valid branch name: characters that are not allowed become `-`."""
    return _NOT_IN_NAMES.sub("-", name).lstrip("._:-")[:_MAX_NAME] or "branch"


@dataclass(slots=True, frozen=True)
class _Place:
    """The position of a node: its stored parent, or None for a root; `lost` if no parent exists."""

    parent: str | None
    lost: bool = False


def _nearest(
    start: str | None,
    by_id: Mapping[str, ImportedMessage],
    dropped: Mapping[str, str | None],
    resolved: dict[str, _Place],
) -> _Place:
    """Return the nearest stored message from `start` upwards; `resolved` caches the results."""
    passed: list[str] = []
    at = start
    while True:
        if at is None or at in by_id:
            place = _Place(at)
        elif at in resolved:
            place = resolved[at]
        elif at not in dropped:
            place = _Place(None, lost=True)
        else:
            resolved[at] = _Place(None, lost=True)  # final if the dropped nodes form a cycle
            passed.append(at)
            at = dropped[at]
            continue
        resolved.update(dict.fromkeys(passed, place))
        return place


def _attach(message: ImportedMessage, place: _Place) -> None:
    message.parent = place.parent
    if place.lost:
        message.custom["orphaned"] = True


def _break_rings(messages: Sequence[ImportedMessage], by_id: Mapping[str, ImportedMessage]) -> None:
    """Make one message of each cycle of parents a root."""
    walk_of: dict[str, int] = {}
    for walk, message in enumerate(messages):
        at: ImportedMessage | None = message
        while at is not None and at.external_id not in walk_of:
            walk_of[at.external_id] = walk
            at = by_id[at.parent] if at.parent is not None else None
        # Met before on this walk: a cycle. Met on an earlier walk: that path leads to a root.
        if at is not None and walk_of[at.external_id] == walk:
            _attach(at, _Place(None, lost=True))


def _path_to(leaf: ImportedMessage, by_id: Mapping[str, ImportedMessage]) -> list[ImportedMessage]:
    path = [leaf]
    while (parent := path[-1].parent) is not None:
        path.append(by_id[parent])
    return path[::-1]


def _first_path(
    start: ImportedMessage, children: Mapping[str | None, Sequence[ImportedMessage]]
) -> list[ImportedMessage]:
    path = [start]
    while following := children.get(path[-1].external_id):
        path.append(following[0])
    return path


def _branches(
    main: list[ImportedMessage],
    children: Mapping[str | None, Sequence[ImportedMessage]],
    name_branch: BranchNamer,
) -> FlatTree:
    flat = FlatTree([], [])
    names = {MAIN_BRANCH}
    # Breadth first, so that alternatives to a branch get lower numbers than their own alternatives.
    pending = deque([(MAIN_BRANCH, main)])
    roots = [root for root in children[None] if root is not main[0]]
    while pending:
        name, path = pending.popleft()
        on_path = {message.external_id for message in path}
        starts = [(MAIN_BRANCH, None, root) for root in roots]
        roots = []
        for message in path:
            message.branch = name
            flat.messages.append(message)
            starts += [
                (name, message.external_id, child)
                for child in children.get(message.external_id, ())
                if child.external_id not in on_path
            ]
        for parent, fork, start in starts:
            proposed = safe_branch_name(name_branch(start, len(flat.branches) + 1))
            branch = unique_name(proposed, names)
            names.add(branch)
            flat.branches.append(ImportedBranch(branch, parent, fork))
            pending.append((branch, _first_path(start, children)))
    return flat


def _numbered(_: ImportedMessage, number: int) -> str:
    return f"alt-{number}"


def unique_name(name: str, taken: Container[str]) -> str:
    """Return `name`, with the lowest number appended that makes it unique if `name` is taken."""
    if name not in taken:
        return name
    number = 2
    while f"{name}-{number}" in taken:
        number += 1
    return f"{name}-{number}"
