"""Checks the plan of each declared query against its declaration."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from message_service.catalogue.declared import QUERIES
from message_service.database.query import Query
from message_service.database.scope import Scope

_PAGE = 50


@dataclass(frozen=True, slots=True)
class PlanCheck:
    """How one query was answered.

    Attributes:
        query: The declared query.
        index: Index used; None when a collection was scanned.
        examined: Documents examined.
        keys: Index keys examined.
        returned: Documents returned.
    """

    query: Query
    index: str | None
    examined: int
    keys: int
    returned: int

    @property
    def as_declared(self) -> bool:
        """Whether the declared index was used within the declared ceiling."""
        ceiling = self.returned * self.query.examined_ratio + self.query.examined_slack
        # An aggregation returns groups, so the ceiling per returned document does not apply.
        within = bool(self.query.stages) or self.examined <= ceiling
        return self.index == self.query.index and within


async def check_plan(scope: Scope, query: Query, values: Mapping[str, Any]) -> PlanCheck:
    """Run one query under `explain`, with these values, for a page of 50."""
    answer = await scope.explain(query, limit=_PAGE, **values)
    stages = list(_stages(answer))
    indexes = {stage["indexName"] for stage in stages if "indexName" in stage}
    scanned = any(stage.get("stage") == "COLLSCAN" for stage in stages)
    return PlanCheck(
        query=query,
        index=indexes.pop() if len(indexes) == 1 and not scanned else None,
        examined=_total(answer, "totalDocsExamined"),
        keys=_total(answer, "totalKeysExamined"),
        returned=_total(answer, "nReturned"),
    )


async def check_plans(scope: Scope, given: Mapping[str, Any]) -> list[PlanCheck]:
    """Check every declared query; values that are not given are taken from its example."""
    return [
        await check_plan(
            scope, query, {name: given.get(name, value) for name, value in query.example.items()}
        )
        for query in QUERIES
    ]


def _stages(node: object, *, chosen: bool = False) -> Iterator[dict[str, Any]]:
    """Yield the stages of the winning plans, wherever the server put them (cursor, shards)."""
    if isinstance(node, dict):
        known = cast("dict[str, Any]", node)
        if chosen and "stage" in known:
            yield known
        for name, inner in known.items():
            yield from _stages(inner, chosen=chosen or name == "winningPlan")
    elif isinstance(node, list):
        for inner in cast("list[object]", node):
            yield from _stages(inner, chosen=chosen)


def _total(answer: Mapping[str, Any], name: str) -> int:
    """Return a figure of the execution statistics, on one server or added up over shards."""
    if "executionStats" in answer:
        return int(answer["executionStats"].get(name, 0))
    for stage in answer.get("stages", ()):
        cursor = stage.get("$cursor")
        if cursor is not None:
            return int(cursor["executionStats"].get(name, 0))
    return sum(_total(shard, name) for shard in answer.get("shards", {}).values())
