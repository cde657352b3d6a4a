"""No call of one tenant reaches another, or tells that the other's things exist."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta

import pytest

from message_service import MessageService, Recosted, Series, Summary, Tenant, Top, errors
from message_service.interchange.report import ImportReport

USER = "user_000000000001"
CONVERSATION = "conv_000000000001"
MESSAGE = "msg_000000000001"
JOB = "job_000000000001"
REPLY = "job_000000000002"
CHARACTER = "char_000000000001"
SINCE, UNTIL = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
TODAY = (datetime.now(UTC) - timedelta(days=1), datetime.now(UTC) + timedelta(days=1))
DAYS = (TODAY[0].date(), TODAY[1].date() + timedelta(days=1))

# Every public call of a tenant with another tenant's ids: what must come back.
NOT_FOUND: dict[str, Callable[[Tenant], Awaitable[object]]] = {
    "messages.append": lambda t: t.messages.append(CONVERSATION, "user", "x"),
    "messages.append_many": lambda t: t.messages.append_many(
        CONVERSATION, [{"role": "user", "text": "x"}]
    ),
    "messages.history": lambda t: t.messages.history(CONVERSATION),
    "messages.around": lambda t: t.messages.around(CONVERSATION, MESSAGE),
    "messages.get": lambda t: t.messages.get(CONVERSATION, MESSAGE),
    "messages.context": lambda t: t.messages.context(CONVERSATION, token_budget=100),
    "messages.edit": lambda t: t.messages.edit(CONVERSATION, MESSAGE, "x"),
    "messages.versions": lambda t: t.messages.versions(CONVERSATION, MESSAGE),
    "messages.delete": lambda t: t.messages.delete(CONVERSATION, MESSAGE),
    "messages.undelete": lambda t: t.messages.undelete(CONVERSATION, MESSAGE),
    "messages.feedback": lambda t: t.messages.feedback(CONVERSATION, MESSAGE, "up"),
    "messages.hide": lambda t: t.messages.hide(CONVERSATION, MESSAGE),
    "messages.unhide": lambda t: t.messages.unhide(CONVERSATION, MESSAGE),
    "messages.record_usage": lambda t: t.messages.record_usage(CONVERSATION, MESSAGE, {"input": 1}),
    "usage.explain": lambda t: t.usage.explain(CONVERSATION, MESSAGE),
    "prices.find": lambda t: t.prices.find("own-model", "own-provider"),
    "messages.pin": lambda t: t.messages.pin(CONVERSATION, MESSAGE),
    "messages.branch": lambda t: t.messages.branch(CONVERSATION, MESSAGE),
    "messages.branches": lambda t: t.messages.branches(CONVERSATION),
    "messages.check": lambda t: t.messages.check(CONVERSATION),
    "messages.close_holes": lambda t: t.messages.close_holes(CONVERSATION, reason="x"),
    "jobs.get": lambda t: t.jobs.get(JOB),
    "jobs.explain": lambda t: t.jobs.explain(JOB),
    "jobs.cancel": lambda t: t.jobs.cancel(JOB),
    "jobs.retry": lambda t: t.jobs.retry(JOB),
    "jobs.wait": lambda t: t.jobs.wait(JOB, 0),
    "jobs.result": lambda t: t.jobs.result(JOB, 0),
    "jobs.enqueue": lambda t: t.jobs.enqueue("message_processing", depends_on=[JOB]),
    "jobs.enqueue_many": lambda t: t.jobs.enqueue_many(
        [{"job_type": "message_processing", "depends_on": [JOB]}]
    ),
    "replies.request": lambda t: t.replies.request(CONVERSATION),
    "replies.continue_": lambda t: t.replies.continue_(CONVERSATION),
    "replies.regenerate": lambda t: t.replies.regenerate(CONVERSATION, MESSAGE),
    "replies.alternatives": lambda t: t.replies.alternatives(CONVERSATION, MESSAGE),
    "replies.swipe": lambda t: t.replies.swipe(CONVERSATION),
    "replies.preview": lambda t: t.replies.preview(CONVERSATION),
    "replies.get": lambda t: t.replies.get(REPLY),
    "replies.wait": lambda t: t.replies.wait(REPLY, 0),
    "replies.cancel": lambda t: t.replies.cancel(REPLY),
    "replies.follow": lambda t: _listed(t.replies.follow(REPLY)),
    "characters.get": lambda t: t.characters.get(CHARACTER),
    "characters.delete": lambda t: t.characters.delete(CHARACTER),
    "quality.evaluate": lambda t: t.quality.evaluate(CONVERSATION, MESSAGE),
    "quality.scores": lambda t: t.quality.scores(CONVERSATION, MESSAGE),
    "search.freshness": lambda t: t.search.freshness(CONVERSATION),
    "conversations.get": lambda t: t.conversations.get(CONVERSATION),
    "conversations.patch": lambda t: t.conversations.patch(CONVERSATION, title="x"),
    "conversations.summary_versions": lambda t: t.conversations.summary_versions(CONVERSATION),
    "conversations.set_summary": lambda t: t.conversations.set_summary(
        CONVERSATION, "x", up_to_sequence=1
    ),
}
NOTHING: dict[str, Callable[[Tenant], Awaitable[object]]] = {
    "messages.by_user": lambda t: _length(t.messages.by_user(USER)),
    "search.find": lambda t: _length(t.search.find("secret", user_id=USER)),
    "search.matching": lambda t: t.search.matching(USER, "secret", since=SINCE),
    "messages.tokens_by_user": lambda t: t.messages.tokens_by_user(USER, since=SINCE, until=UNTIL),
    "messages.daily_stats": lambda t: t.messages.daily_stats(since=SINCE, until=UNTIL),
    "messages.with_same_text": lambda t: t.messages.with_same_text(CONVERSATION, "sha256:0"),
    "usage.recost": lambda t: _recosted(t.usage.recost(SINCE, UNTIL)),
    "usage.report": lambda t: _listed(t.usage.report(*TODAY, ["user"])),
    "analytics.each": lambda t: _listed(t.analytics.each("user", *DAYS)),
    "analytics.series": lambda t: _said(t.analytics.series(*DAYS)),
    "analytics.total": lambda t: _counted(t.analytics.total(*DAYS)),
    "analytics.top": lambda t: _ranked(t.analytics.top("user", *DAYS)),
    "prices.missing": lambda t: t.prices.missing(),
    "conversations.list": lambda t: _items(t.conversations.list()),
    "jobs.list": lambda t: _items(t.jobs.list()),
    "jobs.of_message": lambda t: t.jobs.of_message(CONVERSATION, MESSAGE),
    "jobs.counts": lambda t: t.jobs.counts(),
    "jobs.cancel_waiting": lambda t: t.jobs.cancel_waiting(JOB),
    "characters.list": lambda t: _items(t.characters.list()),
}
OTHERWISE = {
    *("analytics.summary", "analytics.compare"),  # see series and total
    *("analytics.set_time_zone", "analytics.time_zone"),  # see test_analytics.py
    *("conversations.create", "characters.set"),  # see test_equal_ids_do_not_meet
    "usage.check",  # see test_budgets.py
    "usage.reconcile",  # see test_reconcile.py
    *("jobs.events", "jobs.purge", "jobs.replay_dead"),  # see test_jobs_cli.py
    *("prices.load", "prices.load_library", "prices.rows"),  # see test_prices.py
}


async def _length(page: Awaitable[object]) -> list[object]:
    return list(await page)  # type: ignore[call-overload]


async def _listed(rows: AsyncIterator[object]) -> list[object]:
    return [row async for row in rows]


async def _recosted(done: Awaitable[Recosted]) -> int:
    return (await done).examined


async def _said(series: Awaitable[Series]) -> int:
    return sum(each.message_metrics.total_messages for each in (await series).summaries)


async def _counted(total: Awaitable[Summary]) -> int:
    found = (await total).message_metrics
    return found.total_messages + found.unique_users


async def _ranked(top: Awaitable[Top]) -> Sequence[object]:
    return (await top).ranked


async def _items(page: Awaitable[object]) -> list[object]:
    return (await page).items  # type: ignore[attr-defined]


async def _fill(tenant: Tenant, text: str) -> None:
    await tenant.conversations.create(USER, conversation_id=CONVERSATION, title=text)
    await tenant.messages.append(
        CONVERSATION,
        "user",
        text,
        message_id=MESSAGE,
        client_msg_id="k",
        token_usage={"total_tokens": 5},
    )
    await tenant.jobs.enqueue(
        "message_processing", job_id=JOB, conversation_id=CONVERSATION, message_id=MESSAGE
    )
    await tenant.jobs.enqueue("llm_generation", job_id=REPLY, conversation_id=CONVERSATION)
    await tenant.characters.set(CHARACTER, {"name": text})


async def test_every_public_call_is_walked(service: MessageService) -> None:
    tenant = service.tenant("acme")
    public = {
        f"{prefix}.{name}"
        for prefix in (
            *("messages", "conversations", "search", "usage", "prices", "jobs", "analytics"),
            *("replies", "characters", "quality"),
        )
        for name in dir(getattr(tenant, prefix))
        if not name.startswith("_") and callable(getattr(getattr(tenant, prefix), name))
    }
    assert public == NOT_FOUND.keys() | NOTHING.keys() | OTHERWISE


@pytest.mark.parametrize("name", sorted(NOT_FOUND))
async def test_anothers_ids_are_not_found(service: MessageService, name: str) -> None:
    await _fill(service.tenant("acme"), "secret")
    stranger = service.tenant("other")
    with pytest.raises(errors.NotFound) as caught:
        await NOT_FOUND[name](stranger)
    with pytest.raises(errors.NotFound) as unknown:
        await NOT_FOUND[name](service.tenant("empty"))
    assert str(caught.value) == str(unknown.value)
    kept = await service.tenant("acme").messages.get(CONVERSATION, MESSAGE)
    assert (kept.text, kept.status, kept.revision) == ("secret", "active", 1)
    assert (await service.tenant("acme").jobs.get(JOB)).status == "pending"
    assert (await service.tenant("acme").replies.get(REPLY)).status == "pending"
    assert (await service.tenant("acme").characters.get(CHARACTER)).name == "secret"


@pytest.mark.parametrize("name", sorted(NOTHING))
async def test_anothers_things_are_in_no_listing(service: MessageService, name: str) -> None:
    await _fill(service.tenant("acme"), "secret")
    await service.search_index.drain()
    await service.rollups.drain()
    assert not await NOTHING[name](service.tenant("other"))
    if name != "messages.with_same_text":
        assert await NOTHING[name](service.tenant("acme"))


async def test_equal_ids_do_not_meet(service: MessageService) -> None:
    for name in ("acme", "other"):
        await _fill(service.tenant(name), f"of {name}")
    for name in ("acme", "other"):
        tenant = service.tenant(name)
        assert (await tenant.messages.get(CONVERSATION, MESSAGE)).text == f"of {name}"
        assert (await tenant.conversations.get(CONVERSATION)).title == f"of {name}"
        assert [m.text for m in await tenant.messages.history(CONVERSATION)] == [f"of {name}"]
        assert [m.text for m in await tenant.messages.by_user(USER)] == [f"of {name}"]
        assert (await tenant.characters.get(CHARACTER)).name == f"of {name}"
    await service.tenant("acme").messages.delete(CONVERSATION, MESSAGE)
    assert (await service.tenant("other").messages.get(CONVERSATION, MESSAGE)).status == "active"


async def test_cursors_do_not_cross(service: MessageService) -> None:
    for name in ("acme", "other"):
        tenant = service.tenant(name)
        await _fill(tenant, name)
        await tenant.messages.append(CONVERSATION, "user", "second")
    page = await service.tenant("acme").messages.history(CONVERSATION, limit=1)
    with pytest.raises(errors.InvalidCursor):
        await service.tenant("other").messages.history(CONVERSATION, limit=1, cursor=page.next)


async def test_an_export_holds_one_tenant(service: MessageService) -> None:
    for name in ("acme", "other"):
        await _fill(service.tenant(name), f"of {name}")
    lines = [line async for line in service.tenant("acme").transfer.export_lines()]
    assert any("of acme" in line for line in lines)
    assert not any("of other" in line for line in lines)
    with pytest.raises(errors.NotFound):
        async for _ in service.tenant("third").transfer.export_lines([CONVERSATION]):
            pass
    report = ImportReport()
    async for _ in service.tenant("third").transfer.import_files("jsonl", [], report):
        pass
    assert report.stored == 0


@pytest.mark.parametrize("bad", ["", "Acme", "a b", "x" * 64, "a\n", {"$ne": ""}, None, ["a"]])
def test_tenant_names(service: MessageService, bad: object) -> None:
    with pytest.raises(errors.InvalidId):
        service.tenant(bad)  # type: ignore[arg-type]
