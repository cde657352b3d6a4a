"""`demo`: stores real conversations and shows each promise of the store on them."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from message_service import errors
from message_service.catalogue.declared import CATALOGUE
from message_service.cli.context import connected_service, console, print_table, target_of
from message_service.cli.demo_analytics import show_analytics
from message_service.cli.demo_chat import show_chat
from message_service.cli.demo_jobs import show_jobs
from message_service.cli.demo_usage import show_usage
from message_service.cli.running import run_loop
from message_service.cli.transfer import check_complete, print_report, run_import
from message_service.documents.conversation import Conversation
from message_service.ids import IdKind, derived_id
from message_service.schema.plan_check import check_plans
from message_service.service import MessageService, Tenant
from message_service.stopping import StopSignal

TENANT = "demo"
_INDEXED = 25_000
_STOPPED = "stopped in the middle of the demo; run it again to go on"


def demo(
    ctx: typer.Context,
    paths: Annotated[
        list[Path] | None,
        typer.Argument(help="A chitchat data set; without it, the installed package's."),
    ] = None,
) -> None:
    """Import 258,112 real messages and show what the store promises. Safe to repeat.

    Ctrl-C or SIGTERM finishes the current step and stops; a second one ends at once.
    """
    target = ctx.find_root().obj
    ctx.find_root().obj = type(target)(target.settings, TENANT)
    console.rule("Import of the chitchat data set")
    imported = run_loop(lambda stop: run_import(ctx, "chitchat", paths or [], stop))
    report = imported.result
    print_report(report)
    if report.stopped:
        imported.check(_STOPPED)
    check_complete(report)
    longest = run_loop(lambda stop: _tour(ctx, stop)).check(_STOPPED)
    console.rule("Try next")
    for line in (
        "message-service --tenant demo conversations list",
        f"message-service --tenant demo history {longest.conversation_id} --backward",
        f"message-service --tenant demo context {longest.conversation_id} --budget 500",
        "message-service worker          # jobs, and the rest of the search index: some minutes",
        "message-service --tenant demo jobs list          # and: jobs show, jobs watch",
        "message-service --tenant demo search 'coffee -tea' --all --explain",
        "message-service --tenant demo usage report --by day,model --chart usage.png",
        "message-service --tenant demo analytics report --from 2018-01-01 --to 2020-01-01 "
        "--period month",
        "message-service --tenant demo export demo.jsonl",
        "message-service db status          # and: db plan, db drift",
        "message-service server stop",
    ):
        console.print("  " + line, markup=False, highlight=False, soft_wrap=True)


async def _tour(ctx: typer.Context, stop: StopSignal) -> Conversation:
    async with connected_service(ctx) as service:
        tenant = service.tenant(TENANT)
        _server(service)
        longest = await _longest(tenant)
        for step in (
            lambda: _paging(tenant, longest),
            lambda: _idempotency(tenant),
            lambda: _around_and_branch(tenant, longest),
            lambda: _search(service, tenant, stop),
            lambda: show_jobs(service, tenant),
            lambda: show_usage(tenant),
            lambda: show_analytics(service, tenant, stop),
            lambda: _statistics(tenant, longest),
            lambda: _plans(service, tenant, longest),
            lambda: show_chat(target_of(ctx).settings, TENANT, stop),
        ):
            if not stop.requested:
                await step()
        return longest


def _server(service: MessageService) -> None:
    console.rule("Server")
    console.print(
        f"MongoDB {service.server.version_text}, {service.server.topology}, "
        f"compression {', '.join(service.server.compression) or 'none'}; "
        f"{sum(len(c.indexes) for c in CATALOGUE.collections)} indexes declared",
        markup=False,
    )
    for sentence in service.server.limits:
        console.print(f"  note: {sentence}", markup=False)


async def _longest(tenant: Tenant) -> Conversation:
    """Return the conversation with the most messages."""
    longest: Conversation | None = None
    cursor: str | None = None
    while True:
        page = await tenant.conversations.list(limit=1_000, cursor=cursor)
        for candidate in page.items:
            if longest is None or candidate.last_sequence_number > longest.last_sequence_number:
                longest = candidate
        cursor = page.next
        if cursor is None:
            break
    if longest is None:
        raise errors.NotFound("conversation", "demo data")
    return longest


async def _paging(tenant: Tenant, longest: Conversation) -> None:
    console.rule("The longest conversation, page by page to its end")
    started = time.perf_counter()
    count = pages = 0
    cursor: str | None = None
    first = last = ""
    while True:
        page = await tenant.messages.history(longest.conversation_id, limit=100, cursor=cursor)
        if not count:
            first = page.items[0].text
        last = page.items[-1].text
        count += len(page)
        pages += 1
        cursor = page.next
        if cursor is None:
            break
    elapsed = time.perf_counter() - started
    proof = await tenant.messages.check(longest.conversation_id)
    console.print(
        f"{longest.conversation_id}: {count:,} messages in {pages} pages, "
        f"{elapsed / pages * 1000:.1f} ms a page\n"
        f"  first: {first[:70]!r}\n  last:  {last[:70]!r}\n"
        f"  numbers 1 to {proof.last:,}: {'complete' if proof.complete else 'HOLES'}; "
        f"{proof.digest[:23]}...",
        markup=False,
    )


async def _idempotency(tenant: Tenant) -> None:
    console.rule("The same message twice, and another under the same key")
    conversation = await tenant.conversations.create(
        derived_id(IdKind.USER, "demo"),
        conversation_id=derived_id(IdKind.CONVERSATION, "demo"),
        title="Demo",
        exist_ok=True,
    )
    for text in ("Hello Luna!", "Hello Luna!", "Good bye Luna!"):
        try:
            done = await tenant.messages.append(
                conversation.conversation_id, "user", text, client_msg_id="demo-1"
            )
        except errors.IdempotencyConflict as conflict:
            console.print(
                f"  {text!r}: {conflict.http_status} {conflict.code}: {conflict.message}",
                markup=False,
            )
        else:
            said = "stored before" if done.duplicate else "stored"
            console.print(f"  {text!r}: {said} as number {done.sequence_number}", markup=False)


async def _around_and_branch(tenant: Tenant, longest: Conversation) -> None:
    console.rule("Around a message, and a branch from it")
    middle = longest.last_sequence_number // 2
    page = await tenant.messages.history(longest.conversation_id, after=middle, limit=1)
    message = page.items[0]
    around = await tenant.messages.around(
        longest.conversation_id, message.message_id, before=2, after=2
    )
    for near in around:
        mark = ">" if near.message_id == message.message_id else " "
        console.print(f" {mark} {near.sequence_number:>5} {near.text[:80]}", markup=False)
    demo_id = derived_id(IdKind.CONVERSATION, "demo")
    first = (await tenant.messages.history(demo_id, branch="main", limit=1)).items[0]
    branch = await tenant.messages.branch(demo_id, first.message_id, name="another-answer")
    for name, text in (("main", "I am fine."), (branch.name, "Wonderful, thank you!")):
        await tenant.messages.append(
            demo_id, "assistant", text, branch=name, client_msg_id=f"demo-{name}"
        )
        told = [m.text for m in await tenant.messages.history(demo_id, branch=name)]
        console.print(f"  branch {name}: {told}", markup=False)


async def _search(service: MessageService, tenant: Tenant, stop: StopSignal) -> None:
    console.rule("Search")
    started = time.perf_counter()
    before = service.search_index.progress.done
    done = (await service.search_index.drain(_INDEXED, stop)).done - before
    elapsed = time.perf_counter() - started
    console.print(
        f"  {done:,} more messages enriched and indexed, {done / max(elapsed, 0.001):,.0f} /s; "
        "the others wait for `message-service search index`",
        markup=False,
    )
    demo_id = derived_id(IdKind.CONVERSATION, "demo")
    said = await tenant.messages.append(
        demo_id, "user", "My favourite pizza is a Napoli with extra cheese", client_msg_id="pizza"
    )
    await service.search_index.drain(most=1)  # a live message comes before the backlog
    queries = (
        ("napol* pizza", {"conversation_id": demo_id, "min_sequence": said.sequence_number}),
        ('"ice cream" -chocolate', {"whole_tenant": True}),
        ("running shoes", {"whole_tenant": True}),
    )
    for query, scope in queries:
        started = time.perf_counter()
        page = await tenant.search.find(query, limit=3, **scope)  # pyright: ignore[reportArgumentType]
        elapsed = (time.perf_counter() - started) * 1000
        console.print(
            f"  {query}: {page.count} found, {page.examined} read, {elapsed:.1f} ms", markup=False
        )
        for hit in page:
            line = hit.snippet.marked("[", "]").replace("\n", " ")
            console.print(f"      {hit.score:.3f} {line[:100]}", markup=False, highlight=False)


async def _statistics(tenant: Tenant, longest: Conversation) -> None:
    began = longest.created_at.replace(hour=0, minute=0, second=0, microsecond=0)
    rows = await tenant.messages.daily_stats(since=began, until=longest.last_activity_at)
    print_table(
        "Statistics by day (the view daily_message_stats shows the last 30 days)",
        ("day", "messages", "users", "conversations"),
        (
            (r["_id"], f"{r['total_messages']:,}", r["unique_users"], r["unique_conversations"])
            for r in rows[:5]
        ),
    )


async def _plans(service: MessageService, tenant: Tenant, longest: Conversation) -> None:
    console.rule("How the server answers the queries")
    page = await tenant.messages.history(longest.conversation_id, limit=1, full=True)
    message = page.items[0]
    checks = await check_plans(
        service.store.scope(tenant.tenant_id),
        {
            "conversation_id": longest.conversation_id,
            "conversation_ids": [longest.conversation_id],
            "user_id": longest.user_id,
            "message_id": message.message_id,
            "message_ids": [message.message_id],
            "client_msg_ids": [message.raw["client_metadata"]["client_msg_id"]],
            "content_hash": message.raw["content"]["content_hash"],
            "segments": [("main", 0, longest.last_sequence_number)],
            "words": "football",
            "since": datetime(2018, 1, 1, tzinfo=UTC),
            "until": datetime(2019, 1, 1, tzinfo=UTC),
        },
    )
    for check in checks:
        mark = "as declared" if check.as_declared else "NOT AS DECLARED"
        console.print(
            f"  {check.query.name:<38} {check.index or 'no index':<27}\n"
            f"      {check.examined:,} examined, {check.returned:,} returned: {mark}",
            markup=False,
            highlight=False,
        )
