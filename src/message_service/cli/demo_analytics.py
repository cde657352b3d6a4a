"""The part of the demo about summaries."""

from __future__ import annotations

import time
from datetime import date

from message_service.cli.context import console, print_table
from message_service.service import MessageService, Tenant
from message_service.stopping import StopSignal

_SHOWN = 5
_YEAR = (date(2018, 1, 1), date(2019, 1, 1))
"""The year in which most of the data set was said."""
_MONTH = (date(2018, 10, 1), date(2018, 11, 1))


async def show_analytics(service: MessageService, tenant: Tenant, stop: StopSignal) -> None:
    """Make all summaries from nothing, show some, and compare a month with its messages."""
    console.rule("Messages by day, week and month")
    started = time.perf_counter()
    if not await service.rollups.rebuild(stop=stop):
        return
    made = time.perf_counter() - started
    started = time.perf_counter()
    months = await tenant.analytics.series(*_YEAR, "month")
    took = (time.perf_counter() - started) * 1_000
    total = sum(month.message_metrics.total_messages for month in months.summaries)
    print_table(
        f"{total:,} messages summarised in {made:.0f} s; these months read in {took:.1f} ms",
        ("month", "messages", "users", "conversations", "words", "average length"),
        (
            (
                f"{month.first:%Y-%m}",
                f"{month.message_metrics.total_messages:,}",
                f"{month.message_metrics.unique_users:,}",
                f"{month.message_metrics.unique_conversations:,}",
                f"{month.message_metrics.total_words:,}",
                f"{month.message_metrics.avg_message_length or 0:.1f}",
            )
            for month in months.summaries
            if month.message_metrics.total_messages
        ),
    )
    ranked = await tenant.analytics.top("user", *_YEAR, limit=_SHOWN, period="month")
    print_table(
        f"{len(ranked.ranked)} of {ranked.total:,} users, those who said most first",
        ("user", "messages", "share"),
        (
            (each.key["user_id"], f"{each.messages:,}", f"{each.share or 0:.1%}")
            for each in ranked.ranked
        ),
    )
    found = await service.rollups.check(*_MONTH, stop)
    console.print(
        f"  {_MONTH[0]:%Y-%m} added up again: {found.summaries:,} summaries of {found.messages:,} "
        f"messages: {'all are right' if found.is_right else 'SOME ARE WRONG'}",
        markup=False,
    )
