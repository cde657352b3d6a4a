"""The catalogue: every collection, index, shard key, view and query of `message_service`.

The 23 indexes of the source design are in `collections/` under their names; where an index differs,
`correction` gives the reason (details are in `docs/deviations.md`). Two rules apply to all of them:
a query is scoped to a tenant, so `tenant_id` is an equality in every key that is not hashed; and a
unique key begins with the shard key, so that the catalogue is legal on a sharded cluster.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from message_service.catalogue import collections, followers, queries
from message_service.catalogue.discovery import declared_in
from message_service.catalogue.follower import Follower
from message_service.catalogue.model import Catalogue, Collection, View
from message_service.database.query import Query

SCHEMA_VERSION = 8
"""Version of the catalogue as a whole; a release refuses a database of a higher one."""

FOLLOWERS: tuple[Follower, ...] = declared_in(followers, Follower)
"""Every declared follower of messages."""


def catalogue(followed_by: Sequence[Follower] = FOLLOWERS) -> Catalogue:
    """Return the declared catalogue, with the work lists of these followers of messages."""
    return Catalogue(
        version=SCHEMA_VERSION,
        collections=tuple(
            replace(declared, indexes=(*declared.indexes, *(each.index for each in followed_by)))
            if declared.name == "messages"
            else declared
            for declared in declared_in(collections, Collection)
        ),
        views=declared_in(collections, View),
    )


CATALOGUE = catalogue()
"""The declared catalogue."""

QUERIES: tuple[Query, ...] = (
    *declared_in(queries, Query),
    *(query for each in FOLLOWERS for query in each.queries),
)
"""Every declared query."""
