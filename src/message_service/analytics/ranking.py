"""Those with the most of something: what the server adds up over the summaries of a dimension."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from message_service import errors
from message_service.analytics.asking import check_metric, is_currency
from message_service.analytics.metrics import METRICS
from message_service.analytics.results import Ranked
from message_service.analytics.subjects import PartKey
from message_service.database.decimals import decimal
from message_service.documents.analytics import EVERY
from message_service.documents.measures import Distinct, Largest, Ratio, Smallest, Sum
from message_service.documents.row import Row

_KEYS = ("conversation_id", *PartKey._fields)


def _path(name: str) -> str:
    return f"${METRICS[name].group}.{name}"


class Measure:
    """What subjects are ranked by: a metric, or the cost in a currency.

    Args:
        name: The metric's name, or the currency.
        periods: How many periods are added up.

    Raises:
        InvalidInput: There is no such metric, or it cannot be added up over periods.
    """

    def __init__(self, name: str, periods: int) -> None:
        self.adds_up = True
        self._sums: dict[str, Any] = {}
        self._value: Any = "$value"
        if isinstance(name, str) and is_currency(name):  # pyright: ignore[reportUnnecessaryIsInstance]
            self._sums["value"] = {"$sum": f"$token_metrics.costs.{name}"}
            return
        metric = check_metric("order_by", name)
        match metric.rule:
            case Sum():
                self._sums["value"] = {"$sum": _path(name)}
            case Largest():
                self._sums["value"] = {"$max": _path(name)}
                self.adds_up = False
            case Smallest():
                self._sums["value"] = {"$min": _path(name)}
                self.adds_up = False
            case Ratio(part=part, whole=whole, scale=scale):
                self._sums["part"] = {"$sum": _path(part)}
                self._sums["whole"] = {"$sum": _path(whole)}
                parts = {"$divide": ["$part", {"$multiply": ["$whole", scale]}]}
                self._value = {"$cond": [{"$gt": ["$whole", 0]}, parts, None]}
                self.adds_up = False
            case Distinct() if periods == 1:
                self._sums["value"] = {"$sum": _path(name)}
                self.adds_up = False
            case _:
                raise errors.InvalidInput(
                    "order_by",
                    f"{name} does not add up over subjects or periods",
                    "Use total_messages, total_tokens, avg_response_time_ms or a currency",
                )

    def stages(self, limit: int) -> list[dict[str, Any]]:
        """Return the stages that rank summaries by it."""
        return [
            {
                "$group": {
                    "_id": "$subject",
                    "key": {"$first": {name: f"${name}" for name in _KEYS}},
                    "messages": {"$sum": _path("total_messages")},
                    **self._sums,
                }
            },
            {"$match": {"messages": {"$gt": 0}}},
            {"$project": {"key": 1, "messages": 1, "value": self._value}},
            {
                "$facet": {
                    "ranked": [{"$sort": {"value": -1, "_id": 1}}, {"$limit": limit}],
                    "all": [
                        {"$group": {"_id": None, "total": {"$sum": 1}, "sum": {"$sum": "$value"}}}
                    ],
                }
            },
        ]

    def ranked(self, row: Row, whole: Any) -> Ranked:
        """Return one of the most, as the server answered it."""
        value = plain(row["value"])
        share = None
        if self.adds_up and whole:
            share = float(Decimal(value or 0) / Decimal(whole))
        return Ranked(key_of(row["key"]), value, share, row["messages"])


def key_of(row: Mapping[str, Any]) -> dict[str, str]:
    """Return what names the subject of a summary."""
    found = {name: row[name] for name in _KEYS if row.get(name) not in (None, EVERY)}
    if "conversation_id" in found:
        return {"conversation_id": found["conversation_id"]}
    return found


def plain(value: Any) -> Any:
    """Return a number as callers get it."""
    return value if value is None or isinstance(value, (int, float)) else decimal(value)
