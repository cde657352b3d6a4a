"""Marks of work due: every change of a message sets the marks of all followers."""

from __future__ import annotations

from datetime import datetime

from message_service.catalogue.declared import FOLLOWERS
from message_service.catalogue.follower import LIVE
from message_service.documents.row import Row


def marked(now: datetime, rank: int = LIVE) -> Row:
    """Return what `$set` takes to mark a changed message for every follower, by path."""
    return {
        path: value for follower in FOLLOWERS for path, value in follower.marked(now, rank).items()
    }


def mark(document: Row, now: datetime, rank: int) -> Row:
    """Mark a message that is about to be inserted for every follower; return it."""
    for follower in FOLLOWERS:
        place = document
        for name in follower.path:
            place = place.setdefault(name, {})
        place["pending"] = rank
        place["pending_since"] = now
    return document


def unmarked(document: Row) -> Row:
    """Return a message without the marks of followers, for another database."""
    kept = {name: value for name, value in document.items() if name != "marks"}
    for follower in FOLLOWERS:
        for path in follower.cleared:
            group, _, name = path.partition(".")
            if name in kept.get(group, {}):
                kept[group] = {key: value for key, value in kept[group].items() if key != name}
    return kept
