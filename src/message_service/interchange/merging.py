"""Decides where imported messages belong among the stored messages. Pure functions, no I/O.

A message is appended only to a branch that ends with the message it follows. So messages of an
earlier import, or messages written in this service, never get a successor that was not said after
them. Where no branch ends with that message, a new branch is opened. Therefore the order and number
of imports do not affect which message follows which; they affect only the names of branches and the
sequence numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from message_service.documents.conversation import MAIN_BRANCH
from message_service.interchange.reading.trees import unique_name


@dataclass(slots=True, frozen=True)
class Node:
    """A message of the import.

    Attributes:
        message_id: Its id in this service.
        follows: Id of the message it comes after; None when it begins the conversation.
        line: Its branch in the source.
        name: The name of a branch that begins with this message, if the source has one.
    """

    message_id: str
    follows: str | None
    line: str
    name: str | None = None


@dataclass(slots=True)
class Layout:
    """The stored messages and branches of a conversation.

    Attributes:
        branch_of: The branch of each stored message, by id.
        ends: The message that ends each branch: its last message, or the message it forks from
            while the branch is empty; None when it has neither.
        tail: The highest sequence number in use.
    """

    branch_of: dict[str, str] = field(default_factory=dict[str, str])
    ends: dict[str, str | None] = field(default_factory=lambda: {MAIN_BRANCH: None})
    tail: int = 0


@dataclass(slots=True)
class Stretch:
    """Messages to append to one branch, in order.

    Attributes:
        branch: The branch.
        opens: Whether the branch must be created first.
        fork: The message from which a new branch forks.
        message_ids: The messages; empty when the branch is only needed to be shown.
    """

    branch: str
    opens: bool
    fork: str | None
    message_ids: list[str] = field(default_factory=list[str])


@dataclass(slots=True)
class Plan:
    """The plan of an import.

    Attributes:
        stretches: The stretches to append, in this order.
        shown: The branch that ends where the source's shown line ends; None when the shown line
            has no stored message.
    """

    stretches: list[Stretch]
    shown: str | None


def plan(nodes: Sequence[Node], layout: Layout, shown: str | None, *, apart: bool = False) -> Plan:
    """Decide where messages go.

    Args:
        nodes: The messages of the import; each message comes after the one it follows.
        layout: The stored messages and branches.
        shown: The last message of the line the source shows.
        apart: Whether to open new branches for all new messages and use no existing branch
            (because others keep writing to those).
    """
    return _Planner(nodes, layout, shown, apart=apart).run()


class _Planner:
    def __init__(
        self, nodes: Sequence[Node], layout: Layout, shown: str | None, *, apart: bool
    ) -> None:
        self._nodes = nodes
        self._shown = shown
        self._branch_of = dict(layout.branch_of)
        self._names = set(layout.ends)
        self._usable: dict[str | None, list[str]] = {}
        for branch, end in layout.ends.items():
            if not apart:
                self._usable.setdefault(end, []).append(branch)
        self._all_ends = dict(layout.ends)
        follows = {node.message_id: node.follows for node in nodes}
        self._shown_line = set(_line(shown, follows))
        self._stretches: list[Stretch] = []

    def run(self) -> Plan:
        for node in self._nodes:
            if node.message_id not in self._branch_of:
                self._place(node)
        return Plan(self._stretches, self._show())

    def _place(self, node: Node) -> None:
        branch = self._ending_at(node)
        last = self._stretches[-1] if self._stretches else None
        if branch is None:
            branch = self._open(node.follows, node.name or _own_name(node.line))
        elif last is None or last.branch != branch:
            self._stretches.append(Stretch(branch, opens=False, fork=None))
        self._stretches[-1].message_ids.append(node.message_id)
        self._branch_of[node.message_id] = branch
        self._all_ends[branch] = node.message_id
        self._usable.setdefault(node.message_id, []).append(branch)

    def _ending_at(self, node: Node) -> str | None:
        """Take a branch that ends with the message `node` follows; None when there is none."""
        ending = self._usable.get(node.follows, [])
        own = self._branch_of.get(node.follows) if node.follows is not None else MAIN_BRANCH
        free = sorted(ending, key=lambda branch: (branch != node.line, branch != own, branch))
        if node.follows == self._shown and node.message_id not in self._shown_line:
            # One branch must keep ending where the source's shown line ends.
            kept = own if own in ending else next(iter(sorted(ending)), None)
            free = [branch for branch in free if branch != kept]
        if not free:
            return None
        ending.remove(free[0])
        return free[0]

    def _open(self, fork: str | None, name: str | None) -> str:
        branch = unique_name(name, self._names) if name else self._numbered()
        self._names.add(branch)
        self._stretches.append(Stretch(branch, opens=True, fork=fork))
        return branch

    def _numbered(self) -> str:
        number = 1
        while f"alt-{number}" in self._names:
            number += 1
        return f"alt-{number}"

    def _show(self) -> str | None:
        if self._shown is None or self._shown not in self._branch_of:
            return None
        own = self._branch_of[self._shown]
        if self._all_ends[own] == self._shown:
            return own
        ending = sorted(name for name, end in self._all_ends.items() if end == self._shown)
        return ending[0] if ending else self._open(self._shown, None)


def _own_name(line: str) -> str | None:
    return None if line == MAIN_BRANCH else line


def _line(last: str | None, follows: Mapping[str, str | None]) -> Iterable[str]:
    while last is not None:
        yield last
        last = follows.get(last)
