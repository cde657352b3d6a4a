"""A query as data: its filter, the index that answers it, its cost limits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Filter = dict[str, Any]
Sort = tuple[tuple[str, int | Mapping[str, str]], ...]


@dataclass(frozen=True, slots=True)
class Query:
    """One declared query.

    Every read and every filtered write uses a declared query, so that its plan can be checked in
    tests and live, and so that callers cannot pass filters.

    Attributes:
        name: Stable name; sent as the command's comment.
        collection: The collection it reads.
        purpose: Its purpose in one line.
        index: Name of the index that must answer it.
        build: Builds the filter from named values. `tenant_id` is added by the scope.
        sort: Sort keys, in order.
        projection: Fields returned; None for whole documents.
        examined_ratio: Highest number of documents examined per document returned.
        examined_slack: Documents that may be examined in addition.
        scatter: Why it may be sent to every shard; None when the filter has the shard key.
        hinted: Whether the index is forced, so that the planner cannot choose another.
        example: Example values for `build`, for plan checks and the reference.
        stages: Aggregation stages after the match; empty for a find.
        all_tenants: Why the service runs it for all tenants together; None for a query of one
            tenant.
    """

    name: str
    collection: str
    purpose: str
    index: str
    build: Callable[..., Filter]
    example: Mapping[str, Any]
    sort: Sort = ()
    projection: Mapping[str, Any] | None = None
    examined_ratio: float = 1.0
    examined_slack: int = 0
    scatter: str | None = None
    hinted: bool = True
    stages: tuple[Mapping[str, Any], ...] = ()
    all_tenants: str | None = None
