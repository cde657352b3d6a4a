"""The collection `message_analytics`: summaries per day, week and month.

Additions to the design: whose summary it is (`dimension`, `subject` and what names it; the design
knows conversations and users), the figures the design's averages and percentiles are made of
(`figures`), and some more metrics.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from message_service.documents.fields import (
    CharacterId,
    Count,
    Embedded,
    Moment,
    Name,
    StoredDocument,
    UserId,
)
from message_service.documents.summary_metrics import (
    Distributions,
    Figures,
    MessageMetrics,
    PerformanceMetrics,
    QualityMetrics,
    TokenMetrics,
)
from message_service.ids import TENANT_PATTERN, IdKind

EVERY = "*"
"""In the place of a conversation or tenant: the summary is over all of them."""


class Dimension(StrEnum):
    """What a summary is about."""

    CONVERSATION = "conversation"
    USER = "user"
    CHARACTER = "character"
    MODEL = "model"
    TENANT = "tenant"
    GLOBAL = "global"


class AggregationType(StrEnum):
    """The length of the period a summary covers."""

    DAILY = "daily_summary"
    WEEKLY = "weekly_summary"
    MONTHLY = "monthly_summary"


class PartKey(Embedded):
    """What tells apart the parts of a conversation's summary."""

    user_id: UserId | None = None
    character_id: CharacterId | None = None
    provider: Name | None = None
    model: Name | None = None


class Member(PartKey):
    """How many messages of the summary have this user, character and model."""

    messages: Count


class AnalyticsPart(PartKey):
    """The figures of one user, character and model in a conversation's day.

    Attributes:
        figures: All figures by name; the other summaries of the day are the sums of such parts.
    """

    figures: dict[str, Any]


class MessageAnalytics(StoredDocument):
    """The summary of one subject over one period.

    Attributes:
        tenant_id: The tenant; `*` in summaries of all tenants.
        analytics_id: Its name, unique.
        conversation_id: The conversation; `*` when it is not about one.
        user_id: The user; in a conversation's summary the one with the most messages.
        dimension: What it is about.
        subject: Who: `user:ID`, `model:PROVIDER/MODEL` and so on.
        date: The first day of the period, as midnight UTC; weeks begin on Monday.
        time_zone: The zone whose days are meant; absent for UTC.
        figures: What the metrics are made of.
        parts: The parts of a conversation's day.
        members: What a user's or a conversation's messages are counted for, to count different
            users and conversations of the others.
        applied: The number of the last piece of work that wrote it.
    """

    tenant_id: Annotated[str, StringConstraints(pattern=rf"^({TENANT_PATTERN}|\*)$")]
    analytics_id: Annotated[str, StringConstraints(max_length=1_000)]
    conversation_id: Annotated[
        str, StringConstraints(pattern=rf"^({IdKind.CONVERSATION.pattern}|\*)$")
    ]
    user_id: UserId | None = None
    character_id: CharacterId | None = None
    provider: Name | None = None
    model: Name | None = None
    dimension: Dimension = Dimension.CONVERSATION
    subject: Annotated[str, StringConstraints(max_length=1_000)]
    aggregation_type: AggregationType
    date: Moment
    time_zone: Name | None = None
    message_metrics: MessageMetrics = Field(default_factory=MessageMetrics)
    token_metrics: TokenMetrics = Field(default_factory=TokenMetrics)
    performance_metrics: PerformanceMetrics = Field(default_factory=PerformanceMetrics)
    quality_metrics: QualityMetrics = Field(default_factory=QualityMetrics)
    distributions: Distributions = Field(default_factory=Distributions)
    figures: Figures = Field(default_factory=Figures)
    parts: list[AnalyticsPart] | None = None
    members: list[Member] | None = None
    applied: Count = 0
    created_at: Moment
    updated_at: Moment
    version: Count = 1
    delete_at: Moment | None = None

    class Settings:
        """Beanie's settings."""

        name = "message_analytics"
