"""`characters`: what models are told of the characters they play."""

from __future__ import annotations

from pathlib import Path
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
from message_service.documents.character import MOST_DEPTH, Character
from message_service.enrichment.text_statistics import sanitize
from message_service.interchange.formats.character_card import card_fields
from message_service.interchange.reading.json_reading import as_number, as_object, as_text
from message_service.paging.page import MAX_PAGE

app = typer.Typer(no_args_is_help=True)

CharacterArgument = Annotated[str, typer.Argument(help="Character id.", metavar="CHARACTER")]

_FROM_CARD = {
    "name": "name",
    "system_prompt": "system_prompt",
    "description": "description",
    "personality": "personality",
    "scenario": "scenario",
    "mes_example": "example_dialogue",
    "post_history_instructions": "post_history_instructions",
}
"""Fields of a character card that models are told of, and ours."""


@app.command("set")
def set_command(
    ctx: typer.Context,
    character: CharacterArgument,
    file: Annotated[Path, typer.Argument(help="Character card (V1, V2, V3), as JSON or PNG.")],
    as_json: JsonOption = False,
) -> None:
    """Store a character from its card, in place of the one that has this id."""
    card = _card(file)

    async def run() -> Character:
        async with connected_tenant(ctx) as tenant:
            return await tenant.characters.set(character, card)

    stored = run_once(run())
    if as_json:
        print_json(_plain(stored))
    else:
        console.print(
            f"{stored.character_id} is {sanitize(stored.name)}, revision {stored.revision}",
            markup=False,
            highlight=False,
            soft_wrap=True,
        )


@app.command("show")
def show(ctx: typer.Context, character: CharacterArgument, as_json: JsonOption = False) -> None:
    """Show a character."""

    async def run() -> Character:
        async with connected_tenant(ctx) as tenant:
            return await tenant.characters.get(character)

    plain = _plain(run_once(run()))
    if as_json:
        print_json(plain)
    else:
        rows = ((name, sanitize(str(value))) for name, value in plain.items())
        print_table(character, ("field", "value"), rows)


@app.command("list")
def list_command(
    ctx: typer.Context,
    limit: Annotated[int, number(int, 1, MAX_PAGE, "Most characters to show.")] = 50,
    cursor: Annotated[str | None, typer.Option(help="Cursor of an earlier page.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List characters, by id."""

    async def run() -> Any:
        async with connected_tenant(ctx) as tenant:
            return await tenant.characters.list(limit=limit, cursor=cursor)

    page = run_once(run())
    if as_json:
        print_json({"characters": [_plain(each) for each in page.items], "next": page.next})
        return
    print_table(
        "Characters",
        ("character", "name", "description"),
        (
            (each.character_id, sanitize(each.name), sanitize((each.description or "")[:80]))
            for each in page.items
        ),
    )
    if page.next is not None:
        console.print(f"more: --cursor {page.next}", markup=False, soft_wrap=True)


@app.command("delete")
def delete(ctx: typer.Context, character: CharacterArgument) -> None:
    """Delete a character; its conversations stay, and go on without a card."""

    async def run() -> None:
        async with connected_tenant(ctx) as tenant:
            await tenant.characters.delete(character)

    run_once(run())


def _card(file: Path) -> dict[str, Any]:
    try:
        fields = card_fields(file)
    except errors.InvalidImport as error:
        raise errors.InvalidImport(
            "file", error.problem, "Give a character card (V1, V2 or V3) as JSON or PNG"
        ) from None
    card: dict[str, Any] = {
        ours: text
        for name, ours in _FROM_CARD.items()
        if (text := as_text(fields.get(name))) is not None
    }
    if "name" not in card:
        raise errors.InvalidInput("file", "is a card without a name", "Give the character a name")
    extensions = as_object(fields.get("extensions")) or {}
    note = as_object(extensions.get("depth_prompt")) or {}
    text = as_text(note.get("prompt"))
    if text is not None:
        depth = as_number(note.get("depth"))
        card["author_note"] = text
        card["author_note_depth"] = min(max(0, int(depth or 0)), MOST_DEPTH)
    return card


def _plain(character: Character) -> dict[str, Any]:
    return character.model_dump(
        mode="json", exclude_none=True, exclude={"id", "revision_id", "tenant_id"}
    )
