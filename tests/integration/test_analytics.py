"""Summaries: read, ranked, and what is refused."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from message_service import MessageService, errors
from message_service.database.decimals import decimal
from support.summarised import LLM, LUNA, MONDAY, OTHER, USER, Database, filled, say


async def test_a_series_has_every_day(service: MessageService) -> None:
    await filled(service)
    before = service.runtime.clock.now()
    found = await service.analytics.series(date(2026, 3, 29), date(2026, 4, 2))
    assert found.complete_up_to >= before
    assert [each.first for each in found.summaries] == [
        date(2026, 3, 29) + timedelta(days=number) for number in range(4)
    ]
    assert [each.message_metrics.total_messages for each in found.summaries] == [0, 3, 0, 1]
    assert [each.token_metrics.total_cost for each in found.summaries] == [
        None,
        Decimal("0.40"),
        None,
        Decimal("0.5"),
    ]
    empty, monday, _, _ = found.summaries
    assert (empty.updated_at, empty.token_metrics.costs) == (None, {})
    assert (monday.begins, monday.ends) == (
        datetime(2026, 3, 30, tzinfo=UTC),
        datetime(2026, 3, 31, tzinfo=UTC),
    )
    assert monday.message_metrics.unique_users == 2
    assert monday.value("max_response_time_ms") == 3000
    assert monday.performance_metrics.median_response_time_ms == pytest.approx(1000, rel=0.01)


async def test_summaries_of_anything(service: MessageService) -> None:
    conversation = await filled(service)
    for subject, messages, users in (
        ({}, 4, 2),
        ({"user_id": USER}, 3, 1),
        ({"user_id": OTHER}, 1, 1),
        ({"character_id": LUNA}, 4, 2),
        ({"conversation_id": conversation}, 4, 2),
        ({"provider": "openai", "model": "gpt-4o"}, 3, 1),
        ({"provider": "openai"}, 0, 0),
        ({"model": "gpt-4o"}, 0, 0),
        ({"user_id": "user_000000000009"}, 0, 0),
    ):
        week = await service.analytics.summary(date(2026, 4, 1), "week", **subject)
        assert (week.first, week.until) == (date(2026, 3, 30), date(2026, 4, 6))
        assert week.message_metrics.total_messages == messages, subject
        assert week.message_metrics.unique_users == users, subject
    months = await service.analytics.series(date(2026, 3, 31), date(2026, 4, 2), "month")
    assert [each.message_metrics.total_messages for each in months.summaries] == [3, 1]


async def test_the_most(service: MessageService) -> None:
    conversation = await filled(service)
    days = (date(2026, 3, 1), date(2026, 5, 1))
    top = await service.analytics.top("user", *days)
    assert [(each.key, each.value, each.share) for each in top.ranked] == [
        ({"user_id": USER}, 3, 0.75),
        ({"user_id": OTHER}, 1, 0.25),
    ]
    assert top.total == 2
    (first,) = (await service.analytics.top("user", *days, order_by="USD", limit=1)).ranked
    assert (first.value, first.share) == (Decimal("0.90"), 1.0)
    slowest = await service.analytics.top(
        "model", *days, order_by="avg_response_time_ms", period="month"
    )
    (model,) = slowest.ranked
    assert (model.key, model.value) == ({"provider": "openai", "model": "gpt-4o"}, 1500)
    (talk,) = (await service.analytics.top("conversation", *days)).ranked
    assert talk.key == {"conversation_id": conversation}
    assert (await service.tenant("empty").analytics.top("user", *days)).total == 0


async def test_the_pipelines_of_the_design_say_the_same(
    service: MessageService, database: Database
) -> None:
    """`daily_message_stats`, its query, and the design's tokens by user."""
    conversation = await filled(service)
    now = service.runtime.clock.now()
    for hours in range(0, 24 * 20, 5):
        await say(
            service,
            conversation,
            now - timedelta(hours=hours),
            user_id=OTHER if hours % 3 else USER,
            llm_metadata=LLM,
            token_usage={
                "total_tokens": hours,
                "prompt_tokens": hours,
                "total_cost": f"{hours}.25",
                "cost_currency": "USD",
            },
        )
    await service.rollups.drain()
    since, until = now - timedelta(days=29), now + timedelta(days=1)
    days = await service.analytics.series(since.date(), until.date())
    summaries = [each for each in days.summaries if each.message_metrics.total_messages]
    expected = [
        {
            "_id": f"{each.first:%Y-%m-%d}",
            "total_messages": each.message_metrics.total_messages,
            "total_tokens": each.token_metrics.total_tokens,
            "total_cost": each.token_metrics.costs["USD"],
            "unique_users": each.message_metrics.unique_users,
            "unique_conversations": each.message_metrics.unique_conversations,
            "tenant_id": "default",
        }
        for each in reversed(summaries)
    ]
    assert len(expected) > 15
    view = await database["daily_message_stats"].find({}).to_list()
    midnight = datetime(since.year, since.month, since.day, tzinfo=UTC)
    query = await service.messages.daily_stats(since=midnight, until=until)
    for rows in (view, query):
        assert [{**row, "total_cost": decimal(row["total_cost"])} for row in rows] == expected
    for user in (USER, OTHER):
        (tokens,) = await service.messages.tokens_by_user(user, since=midnight, until=until)
        total = await service.analytics.total(since.date(), until.date(), user_id=user)
        assert tokens["total_tokens"] == total.token_metrics.total_tokens
        assert decimal(tokens["total_cost"]) == total.token_metrics.total_cost


async def test_what_waits_is_said(service: MessageService) -> None:
    conversation = (await service.conversations.create(USER)).conversation_id
    await service.rollups.drain()
    before = service.runtime.clock.now()
    await say(service, conversation, MONDAY)
    after = service.runtime.clock.now()
    found = await service.analytics.series(MONDAY.date(), MONDAY.date() + timedelta(days=1))
    assert before <= found.complete_up_to <= after
    assert found.summaries[0].message_metrics.total_messages == 0


@pytest.mark.parametrize(
    ("call", "field", "said"),
    [
        (lambda a: a.series(date(2026, 2, 1), date(2026, 1, 1)), "until", "Swap"),
        (lambda a: a.series(date(2026, 2, 1), date(2026, 2, 1)), "until", "Swap"),
        (lambda a: a.series(date(2016, 1, 1), date(2026, 2, 1)), "until", "ten years"),
        (lambda a: a.series(MONDAY, MONDAY), "since", "date"),
        (lambda a: a.series("2026-01-01", date(2026, 1, 2)), "since", "date"),
        (lambda a: a.summary(date(1, 1, 1)), "day", "1900"),
        (lambda a: a.summary(date(2026, 1, 1), "moth"), "period", "month"),
        (lambda a: a.summary(date(2026, 1, 1), user_id=USER, model="m"), "model", "user_id"),
        (lambda a: a.summary(date(2026, 1, 1), user_id="me"), "user_id", "user_"),
        (lambda a: a.top("charakter", date(2026, 1, 1), date(2026, 1, 2)), "by", "character"),
        (
            lambda a: a.top("user", date(2026, 1, 1), date(2026, 1, 2), order_by="total_token"),
            "order_by",
            "total_tokens",
        ),
        (
            lambda a: a.top(
                "user", date(2026, 1, 1), date(2026, 1, 2), order_by="p95_response_time_ms"
            ),
            "order_by",
            "does not add up",
        ),
        (lambda a: a.top("user", date(2026, 1, 1), date(2026, 1, 2), limit=0), "limit", "1"),
    ],
)
async def test_bad_questions(service: MessageService, call: Any, field: str, said: str) -> None:
    with pytest.raises(errors.InvalidInput) as caught:
        await call(service.analytics)
    assert caught.value.field == field
    assert said in str(caught.value)
