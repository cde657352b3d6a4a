"""Marks of work due: every change of a message sets the marks of the followers it concerns."""

from __future__ import annotations

from datetime import datetime

from message_service.catalogue.declared import FOLLOWERS
from message_service.catalogue.follower import LIVE, REVISION
from message_service.documents.row import Row


def marked(now: datetime, rank: int = LIVE, *, changed: str = REVISION) -> Row:
    """Return what `$min` takes to mark a changed message, by path.

    Args:
        now: The present moment.
        rank: The rank of the marks.
        changed: Path whose value the change replaces (`Follower.guards`).
    """
    return {
        path: value
        for follower in FOLLOWERS
        if changed in follower.guards
        for path, value in follower.marked(now, rank).items()
    }


def mark(document: Row, now: datetime, rank: int) -> Row:
    """Mark a message that is about to be inserted for its followers; return it."""
    for follower in FOLLOWERS:
        if not any(_has(document, guard) for guard in follower.guards):
            continue
        place = document
        for name in follower.path:
            place = place.setdefault(name, {})
        place["pending"] = rank
        place["pending_since"] = now
    return document


def unmarked(document: Row) -> Row:
    """Return a message without the marks and notes of followers, for another database."""
    kept = {name: value for name, value in document.items() if name != "marks"}
    for follower in FOLLOWERS:
        for path in (*follower.cleared, *filter(None, (follower.notes,))):
            group, _, name = path.partition(".")
            if name in kept.get(group, {}):
                kept[group] = {key: value for key, value in kept[group].items() if key != name}
    return kept


def _has(document: Row, path: str) -> bool:
    group, _, name = path.partition(".")
    return name in document.get(group, {}) if name else group in document
