"""The metrics of summaries: each is a field with its rule (`documents.measures`).

What the server adds up, how days become weeks, what is checked and reported, and the reference of
metrics derive from these fields: a new metric is a new field. See `analytics.metrics`.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from message_service.documents.fields import Count, Embedded, Milliseconds, Money, Name, Score
from message_service.documents.measures import (
    Classes,
    Costs,
    Distinct,
    Expression,
    Histogram,
    Largest,
    Quantile,
    Ratio,
    Shares,
    Single,
    Smallest,
    Sum,
    Tally,
)
from message_service.documents.token_usage import Currency

SCORE_UNITS = 10**9
"""Scores are added up as whole billionths, because sums of doubles depend on their order."""

NonNegative = Annotated[float, Field(ge=0)]
Buckets = dict[str, Count]
"""Values by the number of their bucket (`analytics.histogram`)."""

_USAGE = "$token_usage"
_PROCESSING = "$processing_metadata"
_QUALITY = "$quality_metadata"
_TOPICS_OF_A_MESSAGE = 20


def _if(condition: Any, value: Any = 1) -> dict[str, Any]:
    return {"$cond": [condition, value, 0]}


def _is(path: str, value: str) -> dict[str, Any]:
    return {"$eq": [path, value]}


def _score(path: str) -> dict[str, Any]:
    return {"$toLong": {"$round": [{"$multiply": [path, SCORE_UNITS]}, 0]}}


def _there(path: Expression) -> dict[str, Any]:
    return {"$gt": [path, None]}


_LOST = {
    "$or": [
        _is("$status", "deleted"),
        _is("$message_type", "error"),
    ]
}
_FAILED = {
    "$or": [_is("$message_type", "error"), {"$gt": [f"{_PROCESSING}.error_count", 0]}],
}
_PRICELESS = {
    "$and": [
        _there(f"{_USAGE}.usage_state"),
        {"$ne": [f"{_USAGE}.usage_state", "unknown"]},
        {"$not": [_there(f"{_USAGE}.cost_currency")]},
    ]
}
_WAITED = {
    "$cond": [
        {"$gte": ["$timestamps.llm_response_at", "$timestamps.received_at"]},
        {"$subtract": ["$timestamps.llm_response_at", "$timestamps.received_at"]},
        None,
    ]
}
_FROM_TO = ("min_response_time_ms", "max_response_time_ms")
_RESPONSE_TIME = {"$ifNull": [f"{_PROCESSING}.total_latency_ms", _WAITED]}


class MessageMetrics(Embedded):
    """Counts of messages and their sizes."""

    total_messages: Annotated[
        Count, Sum("messages", "messages, deleted ones too; the summary was made from so many", 1)
    ] = 0
    user_messages: Annotated[
        Count, Sum("messages", "those of users", _if(_is("$role", "user")))
    ] = 0
    assistant_messages: Annotated[
        Count, Sum("messages", "those of models", _if(_is("$role", "assistant")))
    ] = 0
    system_messages: Annotated[
        Count, Sum("messages", "instructions to models", _if(_is("$role", "system")))
    ] = 0
    tool_messages: Annotated[
        Count, Sum("messages", "results of tools", _if(_is("$role", "tool")))
    ] = 0
    deleted_messages: Annotated[
        Count, Sum("messages", "those deleted since", _if(_is("$status", "deleted")))
    ] = 0
    unique_users: Annotated[
        Count, Distinct("users", "different users who have messages", "user")
    ] = 0
    unique_conversations: Annotated[
        Count, Distinct("conversations", "different conversations with messages", "conversation")
    ] = 0
    avg_message_length: Annotated[
        NonNegative | None,
        Ratio("characters", "average length of a message", "total_characters", "total_messages"),
    ] = None
    total_words: Annotated[Count, Sum("words", "words of all texts", "$content.word_count")] = 0
    total_characters: Annotated[
        Count, Sum("characters", "characters of all texts", "$content.character_count")
    ] = 0


class TokenMetrics(Embedded):
    """Tokens and their cost."""

    total_tokens: Annotated[Count, Sum("tokens", "all tokens", f"{_USAGE}.total_tokens")] = 0
    input_tokens: Annotated[
        Count, Sum("tokens", "tokens of prompts", f"{_USAGE}.prompt_tokens")
    ] = 0
    output_tokens: Annotated[
        Count, Sum("tokens", "tokens of replies", f"{_USAGE}.completion_tokens")
    ] = 0
    costs: Annotated[
        dict[Currency, Money], Costs("money", "cost by currency", f"{_USAGE}.total_cost")
    ] = Field(default_factory=dict[str, Any])
    total_cost: Annotated[
        Money | None, Single("money", "the cost, where all of it is in one currency", "costs")
    ] = None
    cost_currency: Annotated[
        Currency | None, Single("currency", "the currency of total_cost", "costs", currency=True)
    ] = None
    avg_tokens_per_message: Annotated[
        NonNegative | None,
        Ratio("tokens", "average tokens of a message", "total_tokens", "total_messages"),
    ] = None
    max_tokens_single_message: Annotated[
        Count | None, Largest("tokens", "most tokens of one message", f"{_USAGE}.total_tokens")
    ] = None
    token_efficiency: Annotated[
        Score | None,
        Ratio(
            "share",
            "share of the tokens whose messages were neither deleted nor errors",
            "kept_tokens",
            "total_tokens",
        ),
    ] = None
    messages_with_usage: Annotated[
        Count,
        Sum("messages", "messages that say what they used", _if(_there(f"{_USAGE}.usage_state"))),
    ] = 0
    unknown_usage_messages: Annotated[
        Count,
        Sum(
            "messages",
            "messages whose tokens the provider did not report; they are in no sum of tokens",
            _if(_is(f"{_USAGE}.usage_state", "unknown")),
        ),
    ] = 0
    unpriced_messages: Annotated[
        Count,
        Sum("messages", "messages with tokens but no price; they are in no cost", _if(_PRICELESS)),
    ] = 0


class PerformanceMetrics(Embedded):
    """Response times in milliseconds, as reported."""

    avg_response_time_ms: Annotated[
        NonNegative | None,
        Ratio("ms", "average response time", "response_time_sum", "timed_messages"),
    ] = None
    min_response_time_ms: Annotated[
        Milliseconds | None, Smallest("ms", "shortest response time", _RESPONSE_TIME)
    ] = None
    max_response_time_ms: Annotated[
        Milliseconds | None, Largest("ms", "longest response time", _RESPONSE_TIME)
    ] = None
    median_response_time_ms: Annotated[
        NonNegative | None,
        Quantile("ms", "median response time", "response_times", 0.5, *_FROM_TO),
    ] = None
    p95_response_time_ms: Annotated[
        NonNegative | None,
        Quantile("ms", "95 % of the responses took no longer", "response_times", 0.95, *_FROM_TO),
    ] = None
    total_processing_time_ms: Annotated[
        Count, Sum("ms", "time spent processing", f"{_PROCESSING}.processing_time_ms")
    ] = 0
    cache_hit_rate: Annotated[
        NonNegative | None,
        Ratio(
            "share",
            "share of the prompts' tokens that came from the provider's cache",
            "cached_tokens",
            "input_tokens",
        ),
    ] = None


class QualityMetrics(Embedded):
    """Average scores and rates."""

    avg_coherence_score: Annotated[
        Score | None,
        Ratio("score", "average coherence", "coherence_sum", "coherence_count", SCORE_UNITS),
    ] = None
    avg_relevance_score: Annotated[
        Score | None,
        Ratio("score", "average relevance", "relevance_sum", "relevance_count", SCORE_UNITS),
    ] = None
    avg_safety_score: Annotated[
        Score | None, Ratio("score", "average safety", "safety_sum", "safety_count", SCORE_UNITS)
    ] = None
    content_filter_rate: Annotated[
        Score | None,
        Ratio("share", "share of the judged messages that were filtered", "filtered", "judged"),
    ] = None
    user_satisfaction_rate: Annotated[
        Score | None,
        Ratio(
            "score",
            "average satisfaction of those who gave feedback",
            "satisfaction_sum",
            "satisfaction_count",
            SCORE_UNITS,
        ),
    ] = None
    error_rate: Annotated[
        Score | None,
        Ratio("share", "share of the messages that failed", "failed_messages", "total_messages"),
    ] = None


class Distributions(Embedded):
    """Distributions; their keys are the class labels of the source design."""

    message_length_distribution: Annotated[
        dict[str, Count] | None,
        Classes(
            "messages",
            "messages by length in characters",
            "lengths",
            {"0-50": 50, "51-100": 100, "101-200": 200, "201+": None},
        ),
    ] = None
    response_time_distribution: Annotated[
        dict[str, Count] | None,
        Classes(
            "messages",
            "responses by time",
            "response_times",
            {"0-500ms": 500, "501-1000ms": 1000, "1001-2000ms": 2000, "2001ms+": None},
        ),
    ] = None
    topic_distribution: Annotated[
        dict[str, Score] | None, Shares("share", "shares of the most frequent topics", "topics")
    ] = None


class TopicCount(Embedded):
    """How many messages are about a topic."""

    name: Name
    messages: Count


class Figures(Embedded):
    """Figures that other metrics are made of. Zeros are left out."""

    kept_tokens: Annotated[
        Count | None,
        Sum(
            "tokens",
            "tokens of messages neither deleted nor errors",
            {"$cond": [_LOST, 0, f"{_USAGE}.total_tokens"]},
        ),
    ] = None
    cached_tokens: Annotated[
        Count | None,
        Sum(
            "tokens",
            "tokens of prompts from the provider's cache",
            {
                "$sum": [
                    f"{_USAGE}.classes.cached_input",
                    f"{_USAGE}.classes.cached_audio_input",
                ]
            },
        ),
    ] = None
    timed_messages: Annotated[
        Count | None,
        Sum("messages", "messages with a response time", _if(_there(_RESPONSE_TIME))),
    ] = None
    response_time_sum: Annotated[Count | None, Sum("ms", "all response times", _RESPONSE_TIME)] = (
        None
    )
    coherence_sum: Annotated[
        Count | None, Sum("billionths", "all scores", _score(f"{_QUALITY}.coherence_score"))
    ] = None
    coherence_count: Annotated[
        Count | None, Sum("messages", "scored", _if(_there(f"{_QUALITY}.coherence_score")))
    ] = None
    relevance_sum: Annotated[
        Count | None, Sum("billionths", "all scores", _score(f"{_QUALITY}.relevance_score"))
    ] = None
    relevance_count: Annotated[
        Count | None, Sum("messages", "scored", _if(_there(f"{_QUALITY}.relevance_score")))
    ] = None
    safety_sum: Annotated[
        Count | None, Sum("billionths", "all scores", _score("$safety_metadata.safety_score"))
    ] = None
    safety_count: Annotated[
        Count | None, Sum("messages", "scored", _if(_there("$safety_metadata.safety_score")))
    ] = None
    satisfaction_sum: Annotated[
        Count | None, Sum("billionths", "all scores", _score("$custom_metadata.user_satisfaction"))
    ] = None
    satisfaction_count: Annotated[
        Count | None,
        Sum("messages", "with feedback", _if(_there("$custom_metadata.user_satisfaction"))),
    ] = None
    judged: Annotated[
        Count | None,
        Sum("messages", "judged by a filter", _if(_there("$safety_metadata.content_filtered"))),
    ] = None
    filtered: Annotated[
        Count | None,
        Sum("messages", "filtered", _if({"$eq": ["$safety_metadata.content_filtered", True]})),
    ] = None
    failed_messages: Annotated[Count | None, Sum("messages", "failed", _if(_FAILED))] = None
    lengths: Annotated[
        Buckets | None, Histogram("characters", "lengths", "$content.character_count")
    ] = None
    response_times: Annotated[Buckets | None, Histogram("ms", "response times", _RESPONSE_TIME)] = (
        None
    )
    topics: Annotated[
        list[TopicCount] | None,
        Tally(
            "messages",
            "messages by topic",
            {"$slice": ["$custom_metadata.topics", _TOPICS_OF_A_MESSAGE]},
        ),
    ] = None
