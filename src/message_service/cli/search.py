"""`search`: queries, and `search index|check|status` for operating the index."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.text import Text
from typer.core import TyperGroup

from message_service import errors
from message_service.cli.context import (
    JsonOption,
    connected_service,
    connected_tenant,
    console,
    print_json,
    progress_console,
)
from message_service.cli.numbers import LONGEST_SECONDS, MOST, number
from message_service.cli.running import run_loop, run_once
from message_service.search.filters import FILTERS
from message_service.search.results import Hit, SearchPage
from message_service.search.searcher import MAX_HITS
from message_service.stopping import StopSignal

_QUERY = "query"


class _AskingGroup(TyperGroup):
    """Treats unknown commands as a query: `search "red car"` is `search query "red car"`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ("--help", "-h"):
            args = [_QUERY, *args]
        return super().parse_args(ctx, args)


app = typer.Typer(no_args_is_help=True, cls=_AskingGroup)

_LANGUAGE_HELP = (
    'Words, "phrases", -not, prefix*, and filters: '
    + ", ".join(f"{known.name}:{known.example}" for known in FILTERS)
    + ". Put -- before a query that begins with a minus."
)


@app.command(_QUERY, help=f"Search messages. {_LANGUAGE_HELP}")
def query(
    ctx: typer.Context,
    words: Annotated[list[str], typer.Argument(help="The query.")],
    user: Annotated[str | None, typer.Option(help="Search this user's messages.")] = None,
    conversation: Annotated[str | None, typer.Option(help="Search this conversation.")] = None,
    whole_tenant: Annotated[
        bool, typer.Option("--all", help="Search everything of the tenant.")
    ] = False,
    all_tenants: Annotated[
        bool, typer.Option("--all-tenants", help="Search every tenant; needs --admin.")
    ] = False,
    admin: Annotated[bool, typer.Option("--admin", help="You may see every tenant.")] = False,
    limit: Annotated[int, number(int, 1, MAX_HITS, "Most hits to show.")] = 20,
    cursor: Annotated[str | None, typer.Option(help="Cursor of an earlier page.")] = None,
    min_sequence: Annotated[
        int | None,
        number(int, 0, MOST, "Wait until the conversation is searchable up to this."),
    ] = None,
    wait: Annotated[
        float, number(float, 0, LONGEST_SECONDS, "Longest wait for that, in seconds.")
    ] = 2.0,
    hidden: Annotated[bool, typer.Option(help="Also hidden messages.")] = False,
    explain: Annotated[bool, typer.Option(help="Show how each score came about.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Search messages."""
    asked = " ".join(words)
    if all_tenants:
        run_once(_everywhere(ctx, asked, admin, limit, as_json=as_json))
        return

    async def run() -> SearchPage:
        async with connected_tenant(ctx) as tenant:
            return await tenant.search.find(
                asked,
                user_id=user,
                conversation_id=conversation,
                whole_tenant=whole_tenant,
                limit=limit,
                cursor=cursor,
                min_sequence=min_sequence,
                wait=wait,
                include_hidden=hidden,
            )

    page = run_once(run())
    if as_json:
        print_json(
            {
                "hits": [hit.to_json() for hit in page],
                "next": page.next,
                "count": asdict(page.count),
                "matched": page.matched,
                "freshness": asdict(page.freshness),
                "notes": list(page.notes),
                "examined": page.examined,
            }
        )
        return
    for hit in page:
        _show(hit, explain=explain)
    for note in page.notes:
        console.print(f"note: {note}", markup=False, highlight=False)
    console.print(f"{page.count} found, {page.examined} read{_behind(page)}", markup=False)
    if page.next is not None:
        console.print(f"more: --cursor {page.next}", markup=False, soft_wrap=True)


@app.command("index")
def index(
    ctx: typer.Context,
    once: Annotated[bool, typer.Option("--once", help="Stop when nothing is due.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Index messages of all tenants until stopped (one process of all works at a time).

    Ctrl-C or SIGTERM finishes the current step; a second one ends at once.
    """

    async def run(stop: StopSignal) -> bool:
        async with connected_service(ctx) as service:
            if once:
                await service.search_index.drain(stop=stop)
                finished = not stop.requested
            else:
                progress_console.print("indexing; stop with Ctrl-C", markup=False)
                finished = await service.search_index.run(stop)
            done = service.search_index.progress
        if as_json:
            print_json(asdict(done))
        else:
            console.print(
                f"{done.indexed:,} indexed, {done.removed:,} removed, "
                f"{done.passed_over:,} passed over",
                markup=False,
            )
        return finished

    ended = run_loop(run)
    if not ended.result:
        ended.check("stopped with work left; run it again to go on")


@app.command("status")
def status(ctx: typer.Context, as_json: JsonOption = False) -> None:
    """Show how far the index has come and who indexes."""

    async def run() -> None:
        async with connected_service(ctx) as service:
            found = await service.search_index.status()
        if as_json:
            print_json(asdict(found))
            return
        before, refused = found.freshness.complete_before, found.freshness.refused
        state = "complete" if before is None else f"complete before {before.isoformat()}"
        if refused:
            state += f" but for {refused:,} messages the index could not take"
        console.print(
            f"{found.entries:,} entries of version {found.version}, {state}; "
            f"indexer: {found.indexer or 'none runs'}",
            markup=False,
            soft_wrap=True,
        )

    run_once(run())


@app.command("check")
def check(
    ctx: typer.Context,
    conversation: Annotated[str | None, typer.Option(help="Only this conversation.")] = None,
    repair: Annotated[bool, typer.Option("--repair", help="Repair what is found.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Compare index and messages of all tenants; exit code 5 when they differ."""

    async def run() -> bool:
        async with connected_service(ctx) as service:
            found = await service.search_index.check(conversation_id=conversation, repair=repair)
        if as_json:
            print_json({**asdict(found), "clean": found.clean})
        else:
            console.print(
                f"{found.messages:,} messages, {found.entries:,} entries: {found.missing:,} "
                f"missing, {found.stale:,} stale ({found.refused:,} of them refused by the "
                f"index), {found.orphans:,} orphans; "
                f"{found.waiting:,} waiting for the indexer",
                markup=False,
                soft_wrap=True,
            )
            for example in found.examples[:10]:
                console.print("  " + " ".join(example), markup=False, soft_wrap=True)
        return found.clean or (repair and not found.refused)

    if not run_once(run()):
        raise errors.IndexDiffers(
            "the search index differs from the messages; repair it with "
            "`message-service search check --repair`"
        )


async def _everywhere(
    ctx: typer.Context, asked: str, admin: bool, limit: int, *, as_json: bool
) -> None:
    async with connected_service(ctx) as service:
        found = await service.search_index.find_everywhere(asked, admin=admin, limit=limit)
    if as_json:
        print_json([{"tenant_id": tenant_id, **hit.to_json()} for tenant_id, hit in found])
        return
    for tenant_id, hit in found:
        console.print(tenant_id, style="bold", markup=False)
        _show(hit, explain=False)


def _show(hit: Hit, *, explain: bool) -> None:
    message = hit.message
    line = Text(
        f"{hit.score:6.3f} {message.created_at:%Y-%m-%d %H:%M} {message.role:<9} ", style="dim"
    )
    snippet = Text(hit.snippet.text.replace("\n", " "), style="default")
    for start, end in hit.snippet.highlights:
        snippet.stylize("bold yellow", start, end)
    console.print(line + snippet, soft_wrap=True)
    console.print(
        f"       {message.conversation_id} {message.sequence_number} {message.message_id}",
        style="dim",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    if explain:
        _explain(hit)


def _explain(hit: Hit) -> None:
    why = hit.explanation
    words = " + ".join(f"{name} {part:.3f}" for name, part in why.words.items())
    values: dict[str, Any] = dict(why.weights)
    weights = ", ".join(f"{name} {value:.2f}" for name, value in values.items())
    console.print(
        f"       {hit.score:.3f} = text {why.text:.3f} ({words} + proximity {why.proximity:.3f})"
        f" x weight {why.weight:.3f} ({weights})",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


def _behind(page: SearchPage) -> str:
    if page.freshness.complete:
        return ""
    if page.freshness.complete_to is not None:
        return f"; searchable up to message {page.freshness.complete_to}"
    return f"; the index is complete before {page.freshness.complete_before}"
