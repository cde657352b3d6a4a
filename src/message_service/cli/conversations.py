"""`conversations`: create, list, show, branches, verify."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from message_service import errors
from message_service.cli.context import (
    JsonOption,
    connected_tenant,
    console,
    print_json,
    print_table,
)
from message_service.cli.numbers import number
from message_service.cli.running import run_once
from message_service.documents.conversation import Conversation
from message_service.enrichment.text_statistics import sanitize
from message_service.paging.page import MAX_PAGE

app = typer.Typer(no_args_is_help=True)

ConversationArgument = Annotated[str, typer.Argument(help="Conversation id.")]


@app.command("create")
def create(
    ctx: typer.Context,
    user: Annotated[str, typer.Argument(help="User id of the owner.")],
    conversation: Annotated[str | None, typer.Option("--id", help="Conversation id.")] = None,
    title: Annotated[str | None, typer.Option(help="Title.")] = None,
    character: Annotated[str | None, typer.Option(help="Character id.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Create a conversation and print its id."""

    async def run() -> Conversation:
        async with connected_tenant(ctx) as tenant:
            return await tenant.conversations.create(
                user, conversation_id=conversation, title=title, character_id=character
            )

    created = run_once(run())
    if as_json:
        print_json(_plain(created))
    else:
        console.print(created.conversation_id, markup=False)


@app.command("list")
def list_command(
    ctx: typer.Context,
    user: Annotated[str | None, typer.Option(help="Only this user's.")] = None,
    character: Annotated[str | None, typer.Option(help="Only this character's.")] = None,
    limit: Annotated[int, number(int, 1, MAX_PAGE, "Most conversations to show.")] = 20,
    cursor: Annotated[str | None, typer.Option(help="Cursor of an earlier page.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List conversations, latest activity first."""

    async def run() -> None:
        async with connected_tenant(ctx) as tenant:
            page = await tenant.conversations.list(
                user_id=user, character_id=character, limit=limit, cursor=cursor
            )
        if as_json:
            print_json(
                {"conversations": [_plain(shown) for shown in page.items], "next": page.next}
            )
            return
        print_table(
            "Conversations",
            ("conversation", "title", "messages", "last activity", "last message"),
            (
                (
                    listed.conversation_id,
                    None if listed.title is None else sanitize(listed.title),
                    listed.last_sequence_number,
                    f"{listed.last_activity_at:%Y-%m-%d %H:%M}",
                    None
                    if listed.last_message is None
                    else sanitize(listed.last_message.preview[:60]),
                )
                for listed in page.items
            ),
        )
        if page.next is not None:
            console.print(f"more: --cursor {page.next}", markup=False, soft_wrap=True)

    run_once(run())


@app.command("show")
def show(
    ctx: typer.Context, conversation: ConversationArgument, as_json: JsonOption = False
) -> None:
    """Show one conversation and its branches."""

    async def run() -> None:
        async with connected_tenant(ctx) as tenant:
            shown = await tenant.conversations.get(conversation)
            branches = await tenant.messages.branches(conversation)
        if as_json:
            print_json({**_plain(shown), "branches": [asdict(branch) for branch in branches]})
            return
        print_table(conversation, ("field", "value"), [(k, v) for k, v in _plain(shown).items()])
        print_table(
            "Branches",
            ("branch", "leaves", "after number", "active"),
            ((b.name, b.parent, b.fork_sequence, "yes" if b.active else "") for b in branches),
        )

    run_once(run())


@app.command("verify")
def verify(
    ctx: typer.Context,
    conversation: ConversationArgument,
    close: Annotated[
        str | None, typer.Option(help="Close holes with tombstones giving this reason.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Prove that a conversation is complete (every number once, no hole) and in order."""

    async def run() -> None:
        async with connected_tenant(ctx) as tenant:
            if close is not None:
                await tenant.messages.close_holes(conversation, reason=close)
            found = await tenant.messages.check(conversation)
        if as_json:
            print_json(
                {**asdict(found), "complete": found.complete, "consistent": found.consistent}
            )
        else:
            console.print(
                f"{found.count} messages, numbers 1 to {found.last}, {found.missing} missing, "
                f"{len(found.duplicates)} doubled, "
                f"{len(found.misplaced)} out of line; {found.digest}",
                markup=False,
                soft_wrap=True,
            )
        if not found.complete:
            raise errors.CatalogueError(
                f"conversation {conversation} has {found.missing} holes "
                f"(first: {found.holes[0] if found.holes else '-'}); close them with --close REASON"
            )
        if not found.consistent:
            raise errors.CatalogueError(
                f"conversation {conversation} has {len(found.misplaced)} messages that do not "
                f"follow their parent (first: number {found.misplaced[0]}); see the runbook "
                "'messages out of line'"
            )

    run_once(run())


def _plain(conversation: Conversation) -> dict[str, Any]:
    return conversation.model_dump(
        mode="json", exclude_none=True, exclude={"id", "revision_id", "tenant_id"}
    )
