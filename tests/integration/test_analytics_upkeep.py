"""Summaries kept up to date: erased, rebuilt, checked, cut anew."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import bson
import pytest
from bson import Decimal128, ObjectId

from message_service import MessageService, Series, errors
from message_service.analytics import figures, rollup, sections
from message_service.analytics.changes import GrainChange, grain_place
from message_service.analytics.folding import Range
from message_service.analytics.grains import GrainKey
from message_service.analytics.rollup import Rollup
from message_service.analytics.sampling import SampledCheck
from message_service.analytics.summaries import Summary
from message_service.analytics.work import Work
from support.summaries import problems
from support.summarised import LLM, LUNA, MONDAY, OTHER, USER, Database, filled, say


async def test_the_largest_is_taken_away(service: MessageService, database: Database) -> None:
    conversation = await filled(service)
    largest = await say(
        service, conversation, MONDAY, llm_metadata=LLM, token_usage={"total_tokens": 900}
    )
    await service.rollups.drain()
    day = await service.analytics.summary(MONDAY.date())
    assert day.token_metrics.max_tokens_single_message == 900
    await service.messages.record_usage(conversation, largest, {"input": 1, "output": 1})
    await service.rollups.drain()
    day = await service.analytics.summary(MONDAY.date())
    assert day.token_metrics.max_tokens_single_message == 30
    assert await problems(database, ["default"], all_tenants=True) == []


async def test_erased_messages_stay_in_their_summaries(
    service: MessageService, database: Database
) -> None:
    conversation = await filled(service)
    await database["messages"].delete_one({"conversation_id": conversation, "sequence_number": 2})
    left = await service.messages.history(conversation)
    await service.messages.edit(conversation, left.items[0].message_id, "changed")
    assert await service.rollups.drain() == 1
    found = await service.analytics.summary(MONDAY.date(), "month")
    assert found.message_metrics.total_messages == 3
    assert found.token_metrics.total_tokens == 40


async def test_a_rebuild_repairs_what_was_tampered_with(
    service: MessageService, database: Database
) -> None:
    await filled(service)
    wrong = {"$inc": {"message_metrics.total_messages": 1}, "$set": {"figures.topics": []}}
    await database["message_analytics"].update_many({}, wrong)
    stray = await database["message_analytics"].find_one({"subject": f"user:{OTHER}"})
    assert stray is not None
    subject = {"user_id": "user_000000000009", "subject": "user:user_000000000009"}
    await database["message_analytics"].insert_one({**stray, **subject, "_id": ObjectId()})
    assert len(await problems(database, ["default"], all_tenants=True)) > 10
    assert await service.rollups.rebuild(MONDAY.date(), date(2026, 4, 2))
    assert await problems(database, ["default"], all_tenants=True) == []
    assert await service.rollups.rebuild(until=MONDAY.date())
    assert await service.rollups.rebuild(since=date(2027, 1, 1))
    assert await problems(database, ["default"], all_tenants=True) == []


async def test_a_rebuild_with_more_than_memory_holds(
    service: MessageService, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sections, "_HELD", 1)
    await filled(service)
    for number in range(6):
        user = f"user_{number % 3:012}"
        made = await service.conversations.create(user, character_id=LUNA)
        for day in range(0, 40, 7 + number):
            at = MONDAY + timedelta(days=day)
            await say(service, made.conversation_id, at, llm_metadata=LLM, user_id=user)
    await service.drain()
    before = {row["_id"]: row["created_at"] async for row in database["message_analytics"].find({})}
    await service.rollups.rebuild()
    assert await problems(database, ["default"], all_tenants=True) == []
    after = {row["_id"]: row async for row in database["message_analytics"].find({})}
    assert len(after) > len(before)
    assert {name: after[name]["created_at"] for name in before} == before
    assert (await service.rollups.check()).is_right


async def test_months_without_anything_are_passed_over(
    service: MessageService, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    conversation = await filled(service)
    await say(service, conversation, datetime(1990, 1, 31, tzinfo=UTC))  # a Wednesday
    await service.rollups.drain()
    week = {"aggregation_type": "weekly_summary", "date": datetime(1990, 1, 29, tzinfo=UTC)}
    made: list[Range] = []
    really = Work.make

    async def make(self: Work, wanted: Range, zone: ZoneInfo) -> None:
        made.append(wanted)
        await really(self, wanted, zone)

    monkeypatch.setattr(Work, "make", make)
    await service.rollups.rebuild()
    assert [each.since.date().replace(day=1) for each in made] == [
        date(1990, 1, 1),
        date(1990, 2, 1),
        date(2026, 3, 1),
        date(2026, 4, 1),
    ]
    assert await problems(database, ["default"], all_tenants=True) == []
    await database["message_analytics"].delete_many(week)
    assert (await service.rollups.check()).missing == 4


async def test_a_check_tells_what_is_wrong(service: MessageService, database: Database) -> None:
    conversation = await filled(service)
    right = await service.rollups.check()
    assert right.is_right
    assert (right.messages, right.summaries, right.waiting, right.erased) == (4, 33, 0, 0)
    summaries = database["message_analytics"]
    luna = {"subject": f"character:{LUNA}"}
    await summaries.update_many(luna, {"$inc": {"message_metrics.total_messages": 2}})
    day = {**luna, "aggregation_type": "daily_summary", "date": MONDAY.replace(hour=0)}
    await summaries.update_one(day, {"$set": {"token_metrics.costs.USD": Decimal128("0.1")}})
    await summaries.delete_one({"subject": f"user:{OTHER}"})
    await summaries.update_one(
        {"conversation_id": conversation, "date": MONDAY.replace(hour=0)},
        {"$set": {"performance_metrics.median_response_time_ms": 5.0}},
    )
    found = await service.rollups.check(date(2026, 3, 1), date(2026, 5, 1))
    assert (found.missing, found.stray, found.repaired) == (1, 0, False)
    assert {name: (each.summaries, each.difference) for name, each in found.drift.items()} == {
        "total_messages": (5, Decimal(10)),
        "costs": (1, None),
        "median_response_time_ms": (1, None),
    }
    name, stored, right_value = found.drift["costs"].example
    assert name.startswith(f"analytics_character:{LUNA}_")
    assert (stored, right_value) == ({"USD": Decimal("0.1")}, {"USD": Decimal("0.40")})
    assert (await service.rollups.check(repair=True)).repaired
    assert await problems(database, ["default"], all_tenants=True) == []
    assert (await service.rollups.check()).is_right


async def test_a_check_knows_what_waits_and_what_was_erased(
    service: MessageService, database: Database
) -> None:
    conversation = await filled(service)
    await say(service, conversation, MONDAY)
    found = await service.rollups.check()
    assert (found.is_right, found.waiting) == (True, 1)
    await service.rollups.drain()
    await database["messages"].delete_many({"conversation_id": conversation, "sequence_number": 2})
    found = await service.rollups.check(repair=True)
    assert (found.is_right, found.erased, found.repaired) == (True, 1, False)


async def test_a_sampled_check_tells_of_a_wrong_day_until_it_is_right(
    service: MessageService, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    def random(count: int) -> bytes:
        return b"\0" * count  # the summary that was stored first

    loop = SampledCheck(service.store, service.runtime.clock, random, every=1)
    assert not await loop.step()
    assert loop.figures() == {"days": 0, "summaries": 0, "wrong": 0}
    conversation = (await service.conversations.create(USER)).conversation_id
    await say(service, conversation, MONDAY)
    await service.rollups.drain()
    assert not await loop.step()
    # The day, its week and its month of a conversation, a user, the tenant and all tenants.
    assert loop.figures() == {"days": 1, "summaries": 12, "wrong": 0}
    tampered = {"dimension": "user", "date": MONDAY.replace(hour=0), "user_id": USER}
    words = {"$inc": {"message_metrics.total_words": 1}}
    await database["message_analytics"].update_many(tampered, words)
    await loop.step()
    assert loop.figures()["wrong"] == 2  # the day and the week
    assert "check --from 2026-03-30 --to 2026-03-31 --repair" in caplog.text
    # Another process, which would draw another day, looks at this one.
    await say(service, conversation, MONDAY + timedelta(days=90))
    await service.rollups.drain()
    other = SampledCheck(service.store, service.runtime.clock, os.urandom, every=1)
    await other.step()
    assert other.figures()["wrong"] == 2
    await service.rollups.check(MONDAY.date(), MONDAY.date() + timedelta(days=1), repair=True)
    await other.step()
    assert other.figures() == {"days": 2, "summaries": 24, "wrong": 0}


async def test_days_of_a_time_zone(service: MessageService, database: Database) -> None:
    """Days of 23 and 25 hours, and a clock that is set back over midnight, add up."""
    nights = {
        "Europe/Berlin": [(2026, 3, 29), (2026, 10, 25)],
        # Ranges are read a week at a time from the first of a month on: one ends with the 28th.
        "America/St_Johns": [(2010, 11, 7), (2006, 10, 29), (2006, 10, 1)],
        "Pacific/Apia": [(2011, 12, 30)],
    }
    zones: dict[str, str] = {}
    for zone, several in nights.items():
        name = zone.partition("/")[2].lower()
        zones[name] = zone
        tenant = service.tenant(name)
        conversation = (await tenant.conversations.create(USER)).conversation_id
        for night in several:
            for minutes in range(-26 * 60, 26 * 60, 47):
                at = datetime(*night, tzinfo=UTC) + timedelta(minutes=minutes)
                await say(tenant, conversation, at, text="x" * (1 + minutes % 7))
        await tenant.analytics.set_time_zone(zone)
        assert await tenant.analytics.time_zone() == zone
    await service.rollups.drain()

    def zone_of(tenant_id: str) -> ZoneInfo:
        return ZoneInfo(zones[tenant_id])

    assert await problems(database, zones, zone_of, all_tenants=True) == []
    # Of the 6th, after the first minute of the 7th: it is found although only its day is looked at.
    johns = service.tenant("st_johns")
    conversation = (await johns.conversations.create(USER)).conversation_id
    await say(johns, conversation, datetime(2010, 11, 7, 3, 10, tzinfo=UTC))
    assert await service.rollups.drain() == 1
    assert (await johns.analytics.summary(date(2010, 11, 6), conversation_id=conversation)).value(
        "total_messages"
    ) == 1
    assert await problems(database, zones, zone_of, all_tenants=True) == []
    analytics = service.tenant("berlin").analytics
    for day, hours in ((date(2026, 3, 29), 23), (date(2026, 10, 25), 25), (date(2026, 10, 26), 24)):
        found = await analytics.summary(day)
        assert found.ends - found.begins == timedelta(hours=hours)
    await analytics.set_time_zone("UTC")
    zones["berlin"] = "UTC"
    assert await problems(database, zones, zone_of, all_tenants=True) == []
    assert (await service.rollups.check()).is_right


async def test_a_time_zone_that_cannot_be_set(service: MessageService, database: Database) -> None:
    await filled(service)
    with pytest.raises(errors.InvalidInput, match="Asia/Tokyo"):
        await service.analytics.set_time_zone("Asia/Tokio")
    await database["messages"].delete_many({"timestamps.created_at": {"$gt": MONDAY}})
    with pytest.raises(errors.Conflict, match="1 messages that are erased"):
        await service.analytics.set_time_zone("Asia/Tokyo")
    assert await service.analytics.time_zone() == "UTC"
    assert (await service.rollups.check()).is_right
    await service.tenant("new").analytics.set_time_zone("Asia/Tokyo")
    assert await service.tenant("new").analytics.time_zone() == "Asia/Tokyo"


async def test_more_than_one_document_holds(
    service: MessageService, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What does not fit into one piece of work waits for the next."""
    monkeypatch.setattr(rollup, "_MOST_BYTES", 10_000)
    for number in range(12):
        conversation = (await service.conversations.create(USER)).conversation_id
        for place in range(3):
            topics = [f"ä{number} {'x' * 200}", f"{place}"]
            await say(service, conversation, MONDAY, custom_metadata={"topics": topics})
    loop = Rollup(service.store, service.runtime.clock, poll=1)
    assert await loop.step()
    assert 0 < loop.figures()["messages"] < 36
    assert await service.rollups.drain() == 36 - loop.figures()["messages"]
    assert await problems(database, ["default"], all_tenants=True) == []
    rows = await database["message_analytics"].find({"parts": {"$exists": True}}).to_list()
    for row in rows:
        key = GrainKey("default", row["conversation_id"], row["date"])
        parts = Summary.of_row(grain_place(key), row).parts
        change = GrainChange(key, parts, parts)
        assert len(bson.encode(change.stored())) <= change.size()


async def test_more_topics_than_a_summary_tells_apart(
    service: MessageService, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(figures, "MOST_LABELS", 5)
    for conversation in range(3):
        made = (await service.conversations.create(USER)).conversation_id
        for number in range(4):
            topics = ["all", f"{conversation}.{number}"]
            await say(service, made, MONDAY, custom_metadata={"topics": topics})
        await service.rollups.drain()
    found = await service.analytics.summary(MONDAY.date())
    topics = found.distributions.topic_distribution
    assert topics is not None
    assert len(topics) == 6
    assert topics["all"] == 0.5
    assert topics["(others)"] > 0
    assert (await service.rollups.check()).is_right


async def test_what_waits_since_when_is_not_forgotten(service: MessageService) -> None:
    """A later change of a message that waits does not make its day look complete."""
    conversation = (await service.conversations.create(USER)).conversation_id
    message = await say(service, conversation, MONDAY)
    said = service.runtime.clock.now()
    await service.search_index.drain()
    await service.messages.edit(conversation, message, "changed")
    await service.messages.record_usage(conversation, message, {"input": 1})
    found = await service.analytics.series(MONDAY.date(), MONDAY.date() + timedelta(days=1))
    assert found.complete_up_to <= said


async def test_a_giant_day(service: MessageService, database: Database) -> None:
    """A conversation with more messages than one row of the server's answer holds."""
    conversation = (await service.conversations.create(USER)).conversation_id
    await service.messages.append_many(
        conversation,
        [
            {
                "role": "assistant",
                "text": "x" * (1 + number % 700),
                "created_at": MONDAY,
                "processing_metadata": {"total_latency_ms": number * 17},
                "custom_metadata": {"topics": [f"t{number % 7}", "all"]},
            }
            for number in range(2_300)
        ],
    )
    await service.rollups.drain()
    assert await problems(database, ["default"], all_tenants=True) == []


async def test_who_asks_together_is_told_together(service: MessageService) -> None:
    await filled(service)
    whole = (date(2026, 3, 1), date(2026, 4, 1))
    asking = [asyncio.create_task(service.analytics.series(*whole)) for _ in range(4)]
    await asyncio.sleep(0)
    asking[0].cancel()  # it asks for the others too
    asking[1].cancel()
    first, second, *others = await asyncio.gather(*asking, return_exceptions=True)
    assert isinstance(first, asyncio.CancelledError)
    assert isinstance(second, asyncio.CancelledError)
    for each in others:
        assert isinstance(each, Series)
        assert sum(day.message_metrics.total_messages for day in each.summaries) == 3
    together = await asyncio.gather(*(service.analytics.series(*whole) for _ in range(4)))
    assert len({each.complete_up_to for each in together}) == 1
