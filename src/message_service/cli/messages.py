"""`append`, `history`, `context`."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Annotated, Any

import typer

from message_service import errors
from message_service.cli import output
from message_service.cli.context import (
    JsonOption,
    connected_tenant,
    console,
    print_json,
)
from message_service.cli.numbers import MOST, number
from message_service.cli.running import run_once
from message_service.cli.values import json_object
from message_service.documents.row import Row
from message_service.enrichment.text_statistics import sanitize
from message_service.messages.rows import StoredMessage
from message_service.paging.page import MAX_PAGE

Conversation = Annotated[str, typer.Argument(help="Conversation id.")]
BranchOption = Annotated[
    str | None, typer.Option(help="Branch; without it, the active one ('*' in history: all).")
]


def append(
    ctx: typer.Context,
    conversation: Conversation,
    text: Annotated[str, typer.Argument(help="The text; '-' reads standard input.")],
    role: Annotated[str, typer.Option(help="user, assistant, system or tool.")] = "user",
    branch: BranchOption = None,
    client_msg_id: Annotated[str | None, typer.Option(help="Idempotency key.")] = None,
    parent: Annotated[str | None, typer.Option(help="Message id this one answers.")] = None,
    hidden: Annotated[bool, typer.Option(help="Leave it out of history and prompts.")] = False,
    provider: Annotated[str | None, typer.Option(help="Provider of the model.")] = None,
    model: Annotated[str | None, typer.Option(help="Model that wrote it.")] = None,
    usage: Annotated[
        str | None, typer.Option(help="The provider's usage block, as JSON.", metavar="JSON")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Append one message."""
    llm = {key: value for key, value in (("provider", provider), ("model", model)) if value}
    content = sys.stdin.read() if text == "-" else text

    async def run() -> None:
        async with connected_tenant(ctx) as tenant:
            appended = await tenant.messages.append(
                conversation,
                role,
                content,
                branch=branch,
                client_msg_id=client_msg_id,
                parent_message_id=parent,
                status="hidden" if hidden else "active",
                llm_metadata=llm or None,
                usage=None if usage is None else json_object("usage", usage),
            )
        if as_json:
            print_json(asdict(appended))
        else:
            said = " (stored before)" if appended.duplicate else ""
            console.print(f"{appended.sequence_number} {appended.message_id}{said}", markup=False)

    run_once(run())


def history(
    ctx: typer.Context,
    conversation: Conversation,
    branch: BranchOption = None,
    backward: Annotated[bool, typer.Option(help="Newest first.")] = False,
    limit: Annotated[int, number(int, 1, MAX_PAGE, "Most messages to show.")] = 50,
    cursor: Annotated[str | None, typer.Option(help="Cursor of an earlier page.")] = None,
    hidden: Annotated[bool, typer.Option(help="Also hidden messages.")] = False,
    around: Annotated[str | None, typer.Option(help="Show what lies around this message.")] = None,
    show_all: Annotated[bool, typer.Option("--all", help="Page on to the end.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show a conversation, a page or all of it."""
    if around is not None and (backward or cursor is not None or show_all):
        raise errors.InvalidInput(
            "around", "cannot be combined with --backward, --cursor or --all", "Give it alone"
        )

    statuses = ["active", "hidden"] if hidden else ["active"]

    async def run() -> None:
        async with connected_tenant(ctx) as tenant:
            if around is not None:
                before = limit // 2
                page = await tenant.messages.around(
                    conversation,
                    around,
                    before=before,
                    after=limit - 1 - before,
                    branch=branch,
                    statuses=statuses,
                )
            else:
                page = await tenant.messages.history(
                    conversation,
                    branch=branch,
                    direction="backward" if backward else "forward",
                    limit=MAX_PAGE if show_all else limit,
                    cursor=cursor,
                    statuses=statuses,
                )
            rows: list[Row] = []
            while True:
                if as_json:
                    rows.extend(message.raw for message in page)
                else:
                    _show(page.items)
                if not show_all or page.next is None or output.lost():
                    break
                page = await tenant.messages.history(
                    conversation,
                    branch=branch,
                    direction="backward" if backward else "forward",
                    limit=MAX_PAGE,
                    cursor=page.next,
                    statuses=statuses,
                )
            if as_json:
                print_json({"messages": rows, "next": page.next})
            elif page.next is not None:
                console.print(f"more: --cursor {page.next}", markup=False, soft_wrap=True)

    run_once(run())


def context(
    ctx: typer.Context,
    conversation: Conversation,
    budget: Annotated[int, number(int, 1, MOST, "Token budget.")] = 4_000,
    branch: BranchOption = None,
    hidden: Annotated[bool, typer.Option(help="Also hidden messages.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show the prompt window of a conversation."""

    async def run() -> None:
        async with connected_tenant(ctx) as tenant:
            window = await tenant.messages.context(
                conversation, token_budget=budget, branch=branch, include_hidden=hidden
            )
        if as_json:
            values: dict[str, Any] = {
                name: getattr(window, name)
                for name in type(window).__dataclass_fields__
                if name != "messages"
            }
            print_json({**values, "messages": [m.raw for m in window.messages]})
            return
        if window.summary is not None:
            console.print(f"[summary] {sanitize(window.summary)}", markup=False)
        _show(window.messages)
        console.print(
            f"{len(window.messages)} messages, {window.token_count} of {budget} tokens "
            f"({window.tokenizer}), numbers {window.first_sequence} to {window.last_sequence}",
            markup=False,
        )

    run_once(run())


def _show(messages: list[StoredMessage]) -> None:
    for message in messages:
        console.print(
            f"{message.sequence_number:>6} {message.created_at:%Y-%m-%d %H:%M} "
            f"{message.role:<9} {sanitize(message.text)}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )
