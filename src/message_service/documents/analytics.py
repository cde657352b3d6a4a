"""The collection `message_analytics`: summaries per day, week and month."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from message_service.documents.fields import (
    ConversationId,
    Count,
    Embedded,
    Milliseconds,
    Moment,
    Money,
    Name,
    Score,
    StoredDocument,
    TenantId,
    UserId,
)

NonNegative = Annotated[float, Field(ge=0)]
Histogram = dict[str, Count]


class AggregationType(StrEnum):
    """The length of the period a summary covers."""

    DAILY = "daily_summary"
    WEEKLY = "weekly_summary"
    MONTHLY = "monthly_summary"


class MessageMetrics(Embedded):
    """Counts of messages and their sizes."""

    total_messages: Count | None = None
    user_messages: Count | None = None
    assistant_messages: Count | None = None
    system_messages: Count | None = None
    avg_message_length: NonNegative | None = None
    total_words: Count | None = None
    total_characters: Count | None = None


class TokenMetrics(Embedded):
    """Tokens and their cost."""

    total_tokens: Count | None = None
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    total_cost: Money | None = None
    avg_tokens_per_message: NonNegative | None = None
    max_tokens_single_message: Count | None = None
    token_efficiency: NonNegative | None = None


class PerformanceMetrics(Embedded):
    """Response times in milliseconds."""

    avg_response_time_ms: NonNegative | None = None
    min_response_time_ms: Milliseconds | None = None
    max_response_time_ms: Milliseconds | None = None
    median_response_time_ms: NonNegative | None = None
    p95_response_time_ms: NonNegative | None = None
    total_processing_time_ms: Milliseconds | None = None
    cache_hit_rate: Score | None = None


class QualityMetrics(Embedded):
    """Average scores and rates."""

    avg_coherence_score: Score | None = None
    avg_relevance_score: Score | None = None
    avg_safety_score: Score | None = None
    content_filter_rate: Score | None = None
    user_satisfaction_rate: Score | None = None
    error_rate: Score | None = None


class Distributions(Embedded):
    """Histograms; their keys are the class labels of the source design."""

    message_length_distribution: Histogram | None = None
    response_time_distribution: Histogram | None = None
    topic_distribution: dict[str, Score] | None = None


class MessageAnalytics(StoredDocument):
    """The summary of one conversation (or user) over one period."""

    tenant_id: TenantId
    analytics_id: Name
    conversation_id: ConversationId
    user_id: UserId | None = None
    aggregation_type: AggregationType
    date: Moment
    message_metrics: MessageMetrics | None = None
    token_metrics: TokenMetrics | None = None
    performance_metrics: PerformanceMetrics | None = None
    quality_metrics: QualityMetrics | None = None
    distributions: Distributions | None = None
    created_at: Moment
    updated_at: Moment
    version: Count = 1
    delete_at: Moment | None = None

    class Settings:
        """Beanie's settings."""

        name = "message_analytics"
