"""What summaries must say, worked out from the messages in plain Python, metric by metric."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from pymongo.asynchronous.database import AsyncDatabase

from message_service.database.decimals import decimal
from message_service.documents.row import Row

Key = tuple[str, str, str, datetime]
"""Tenant, subject, length and first day."""

LENGTHS = ("daily_summary", "weekly_summary", "monthly_summary")
ERROR = 0.01
"""The documented relative error of percentiles."""


def day_of(message: Row, zone: ZoneInfo) -> datetime:
    local = message["timestamps"]["created_at"].astimezone(zone)
    return datetime(local.year, local.month, local.day, tzinfo=UTC)


def beginnings(day: datetime) -> tuple[datetime, datetime, datetime]:
    return day, day - timedelta(days=day.weekday()), day.replace(day=1)


def subjects(message: Row) -> list[tuple[str, str]]:
    tenant = message["tenant_id"]
    found = [
        (tenant, f"conversation:{message['conversation_id']}"),
        (tenant, f"user:{message['user_id']}"),
        (tenant, f"tenant:{tenant}"),
        ("*", "global"),
    ]
    if "character_id" in message:
        found.append((tenant, f"character:{message['character_id']}"))
    llm = message.get("llm_metadata", {})
    if "provider" in llm or "model" in llm:
        found.append((tenant, f"model:{llm.get('provider', '').lower()}/{llm.get('model', '')}"))
    return found


def grouped(
    messages: Iterable[Row], zones: Callable[[str], ZoneInfo] = lambda _: ZoneInfo("UTC")
) -> dict[Key, list[Row]]:
    """Return the messages of every summary."""
    found: dict[Key, list[Row]] = defaultdict(list)
    for message in messages:
        if message["message_type"] == "tombstone":
            continue
        day = day_of(message, zones(message["tenant_id"]))
        for tenant, subject in subjects(message):
            for length, first in zip(LENGTHS, beginnings(day), strict=True):
                found[tenant, subject, length, first].append(message)
    return found


def at(message: Row, path: str) -> Any:
    value: Any = message
    for name in path.split("."):
        if not isinstance(value, dict) or name not in value:
            return None
        value = value[name]
    return value


def expected(messages: Sequence[Row]) -> Row:
    """Return the metrics of these messages."""

    def all_of(path: str) -> list[Any]:
        return [value for each in messages if (value := at(each, path)) is not None]

    def total(path: str) -> int:
        return sum(all_of(path))

    def ratio(part: float, whole: float) -> float | None:
        return part / whole if whole else None

    def average(path: str) -> float | None:
        return ratio(math.fsum(all_of(path)), len(all_of(path)))

    roles = Counter(each["role"] for each in messages)
    costs: dict[str, Decimal] = {}
    for each in messages:
        cost, currency = at(each, "token_usage.total_cost"), at(each, "token_usage.cost_currency")
        if cost is not None and currency is not None and decimal(cost):
            costs[currency] = costs.get(currency, Decimal(0)) + decimal(cost)
    times = all_of("processing_metadata.total_latency_ms")
    lengths = all_of("content.character_count")
    topics = Counter(
        topic for each in messages for topic in set(at(each, "custom_metadata.topics") or ())
    )
    tokens = total("token_usage.total_tokens")
    states = all_of("token_usage.usage_state")
    kept = [
        each for each in messages if each["status"] != "deleted" and each["message_type"] != "error"
    ]
    failed = [
        each
        for each in messages
        if each["message_type"] == "error" or (at(each, "processing_metadata.error_count") or 0) > 0
    ]
    filtered = all_of("safety_metadata.content_filtered")
    return {
        "total_messages": len(messages),
        "user_messages": roles["user"],
        "assistant_messages": roles["assistant"],
        "system_messages": roles["system"],
        "tool_messages": roles["tool"],
        "deleted_messages": sum(each["status"] == "deleted" for each in messages),
        "unique_users": len({(each["tenant_id"], each["user_id"]) for each in messages}),
        "unique_conversations": len(
            {(each["tenant_id"], each["conversation_id"]) for each in messages}
        ),
        "avg_message_length": ratio(sum(lengths), len(messages)),
        "total_words": total("content.word_count"),
        "total_characters": sum(lengths),
        "total_tokens": tokens,
        "input_tokens": total("token_usage.prompt_tokens"),
        "output_tokens": total("token_usage.completion_tokens"),
        "costs": costs,
        "total_cost": next(iter(costs.values())) if len(costs) == 1 else None,
        "cost_currency": next(iter(costs)) if len(costs) == 1 else None,
        "avg_tokens_per_message": ratio(tokens, len(messages)),
        "max_tokens_single_message": max(all_of("token_usage.total_tokens"), default=None),
        "token_efficiency": ratio(
            sum(at(each, "token_usage.total_tokens") or 0 for each in kept), tokens
        ),
        "messages_with_usage": len(states),
        "unknown_usage_messages": states.count("unknown"),
        "unpriced_messages": sum(
            at(each, "token_usage.usage_state") not in (None, "unknown")
            and at(each, "token_usage.cost_currency") is None
            for each in messages
        ),
        "avg_response_time_ms": ratio(sum(times), len(times)),
        "min_response_time_ms": min(times, default=None),
        "max_response_time_ms": max(times, default=None),
        "median_response_time_ms": percentile(times, 0.5),
        "p95_response_time_ms": percentile(times, 0.95),
        "total_processing_time_ms": total("processing_metadata.processing_time_ms"),
        "cache_hit_rate": ratio(
            total("token_usage.classes.cached_input")
            + total("token_usage.classes.cached_audio_input"),
            total("token_usage.prompt_tokens"),
        ),
        "avg_coherence_score": average("quality_metadata.coherence_score"),
        "avg_relevance_score": average("quality_metadata.relevance_score"),
        "avg_safety_score": average("safety_metadata.safety_score"),
        "content_filter_rate": ratio(sum(filtered), len(filtered)),
        "user_satisfaction_rate": average("custom_metadata.user_satisfaction"),
        "error_rate": ratio(len(failed), len(messages)),
        "message_length_distribution": classes(lengths, (50, 100, 200)),
        "response_time_distribution": classes(times, (500, 1000, 2000)),
        "topic_distribution": {topic: count / topics.total() for topic, count in topics.items()}
        or None,
    }


def percentile(values: Sequence[int], share: float) -> int | None:
    """Return the nearest rank."""
    if not values:
        return None
    return sorted(values)[max(1, math.ceil(share * len(values))) - 1]


def classes(values: Sequence[int], bounds: Sequence[int]) -> list[int] | None:
    """Return how many values lie in each class, without the labels."""
    if not values:
        return None
    places = Counter(sum(value > bound for bound in bounds) for value in values)
    return [places[place] for place in range(len(bounds) + 1)]


def shown(row: Mapping[str, Any]) -> Row:
    """Return the metrics of a stored summary, by name."""
    groups = ("message", "token", "performance", "quality")
    found: Row = {}
    for group in groups:
        found |= row[f"{group}_metrics"]
    found |= row["distributions"]
    found["costs"] = {currency: decimal(cost) for currency, cost in found["costs"].items()}
    if "total_cost" in found:
        found["total_cost"] = decimal(found["total_cost"])
    return found


def differences(stored: Row, wanted: Row) -> dict[str, tuple[Any, Any]]:
    """Return where a stored summary does not say what it must, by metric."""
    found = shown(stored)
    return {
        name: (found.get(name), value)
        for name, value in wanted.items()
        if not _same(name, found.get(name), value)
    }


def _same(name: str, found: Any, wanted: Any) -> bool:
    if found is None or wanted is None:
        return found is wanted
    if name.endswith("_distribution") and isinstance(wanted, list):
        return [*found.values()] == wanted
    if name == "topic_distribution":
        return set(found) == set(wanted) and all(
            math.isclose(found[topic], wanted[topic]) for topic in wanted
        )
    if name.startswith(("median", "p95")):
        return math.isclose(found, wanted, rel_tol=ERROR)
    if isinstance(wanted, float):
        return math.isclose(found, wanted, rel_tol=1e-9, abs_tol=1e-9)
    return bool(found == wanted)


async def problems(
    database: AsyncDatabase[Row],
    tenants: Iterable[str],
    zones: Callable[[str], ZoneInfo] = lambda _: ZoneInfo("UTC"),
    *,
    all_tenants: bool = False,
) -> list[str]:
    """Return what is wrong in the summaries of tenants; of all, the global ones too."""
    chosen = sorted(tenants)
    messages = await database["messages"].find({"tenant_id": {"$in": chosen}}).to_list()
    wanted = {
        key: expected(several)
        for key, several in grouped(messages, zones).items()
        if all_tenants or key[0] != "*"
    }
    rows = await database["message_analytics"].find({}).to_list()
    stored: dict[Key, Row] = {}
    found: list[str] = []
    for row in rows:
        key = (row["tenant_id"], row["subject"], row["aggregation_type"], row["date"])
        if key in stored:
            found.append(f"{key} is stored twice")
        if row["tenant_id"] in chosen or (all_tenants and row["tenant_id"] == "*"):
            stored[key] = row
    found += [f"{key} is missing" for key in wanted.keys() - stored.keys()]
    for key, row in stored.items():
        if key not in wanted:
            if row["message_metrics"]["total_messages"]:
                found.append(f"{key} has no messages")
        elif wrong := differences(row, wanted[key]):
            found.append(f"{key}: {wrong}")
    return found
