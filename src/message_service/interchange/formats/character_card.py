"""Reads character cards (V1, V2, V3) from JSON and PNG files: a conversation for each character."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from message_service import errors
from message_service.interchange.formats import card_texts, png_text
from message_service.interchange.reading import sources, trees
from message_service.interchange.reading.chat_moments import from_any
from message_service.interchange.reading.chat_records import opening, stem
from message_service.interchange.reading.format import Format
from message_service.interchange.reading.glimpse import Glimpse
from message_service.interchange.reading.json_reading import (
    as_list,
    as_object,
    as_text,
    object_items,
)
from message_service.interchange.reading.part_making import json_text
from message_service.interchange.reading.records import (
    ImportedConversation,
    ImportedMessage,
    SkippedItem,
    present,
    unreadable,
)

_FILES = ("*.png", "*.json")
_IN_PNG = ("ccv3", "chara")
"""The keywords of cards in PNG files; V3 first, because a V3 card stands there as V2 as well."""

_SPECS = "chara_card_v"
_AGAIN = "Export the card again"
_OTHER_FORMAT = "Give a character card (V1, V2 or V3), or name the file's own format"


def read(paths: Sequence[Path]) -> Iterator[ImportedConversation]:
    """Yield a conversation for each card: its texts, hidden, and its greetings.

    The first greeting is on `main`; each alternate greeting is a branch. Among several files, those
    that hold no card are skipped (pictures) or unreadable (damaged cards).

    Args:
        paths: Cards as JSON or PNG files, or folders with such files.

    Raises:
        InvalidImport: A file is missing, or none of them is a character card.
    """
    first: errors.InvalidImport | None = None
    files = sources.expand(paths, *_FILES)
    found = 0
    for path in files:
        try:
            card = _card(path)
        except errors.InvalidImport as error:
            first = first or error
            if len(files) > 1:
                yield _without_card(path, error)
            continue
        found += 1
        yield _conversation(card, stem(path))
    if first is not None and not found:
        raise first


def card_fields(path: Path) -> dict[str, Any]:
    """Return the fields of the card in one file.

    Raises:
        InvalidImport: The file cannot be read, or is not a character card.
    """
    return _fields(_card(path))


def _fields(card: dict[str, Any]) -> dict[str, Any]:
    data = as_object(card.get("data")) or {}
    # SillyTavern writes the fields of V1 beside `data`, where the newer ones are.
    return {**{name: card[name] for name in card if name not in ("data", "spec")}, **data}


def _without_card(path: Path, error: errors.InvalidImport) -> ImportedConversation:
    """Return what stands for a file that holds no card."""
    if error.details.get("has_card") is False:
        skipped = SkippedItem(path.name, "picture without a character card")
        return ImportedConversation(external_id=path.name, skipped=[skipped])
    return unreadable(path.name, "unreadable file")


def _card(path: Path) -> dict[str, Any]:
    card = _png_card(path) if opening(path) == png_text.SIGNATURE[:1] else dict(object_items(path))
    if as_object(card.get("data")) is None and not _is_flat(card):
        raise sources.broken(
            path, "is not a character card: it has no 'data' and no 'first_mes'", _OTHER_FORMAT
        )
    if as_object(card.get("data")) is not None and not (_has_spec(card) or _is_flat(card)):
        raise sources.broken(path, "is not a character card: it has no 'spec'", _OTHER_FORMAT)
    return card


def _has_spec(card: Mapping[str, Any]) -> bool:
    return (as_text(card.get("spec")) or "").startswith(_SPECS)


def _is_flat(card: Mapping[str, Any]) -> bool:
    return "first_mes" in card and "name" in card


def _png_card(path: Path) -> dict[str, Any]:
    found: dict[str, bytes] = {}
    truncated: errors.InvalidImport | None = None
    try:
        for keyword, text in png_text.texts(path, *_IN_PNG):
            found.setdefault(keyword, text)
    except errors.InvalidImport as error:
        truncated = error  # a card before the damage is complete
    for keyword in _IN_PNG:
        card = _decoded(found.get(keyword, b""))
        if card is not None:
            return card
    if truncated is not None:
        raise truncated
    if found:
        raise sources.broken(path, "holds a damaged character card", _AGAIN)
    error = sources.broken(path, "is a picture without a readable character card", _AGAIN)
    error.details["has_card"] = False
    raise error


def _decoded(text: bytes) -> dict[str, Any] | None:
    """Return the card in a PNG text: JSON in base64, or JSON itself."""
    try:
        if not text.lstrip().startswith(b"{"):
            text = base64.b64decode(text + b"=" * (-len(text) % 4))
        return as_object(json.loads(text.decode("utf-8")))
    except (binascii.Error, ValueError, RecursionError):
        return None


def _conversation(card: dict[str, Any], name_of_file: str) -> ImportedConversation:
    fields = _fields(card)
    name = as_text(fields.get("name"))
    creator = as_text(fields.get("creator"))
    created = from_any(fields.get("creation_date")) or from_any(fields.get("create_date"))
    tags = [tag for tag in as_list(fields.get("tags")) if isinstance(tag, str)]
    assets = fields.get("assets")
    conversation = ImportedConversation(
        external_id="/".join(filter(None, (name_of_file, name, creator))),
        title=name,
        created_at=created,
        updated_at=from_any(fields.get("modification_date")),
        character=name,
        custom=present(
            {
                "card_spec": as_text(card.get("spec")),
                "nickname": as_text(fields.get("nickname")),
                "creator": creator,
                "character_version": as_text(fields.get("character_version")),
                "tags": tags,
                "source": json_text(fields["source"]) if fields.get("source") else None,
                "assets": json_text(assets) if assets else None,
            }
        ),
    )
    messages, skipped = card_texts.messages_of(fields, created)
    conversation.skipped += skipped
    flat = trees.flatten(messages, shown=next(_greetings(messages), None))
    conversation.messages, conversation.branches = flat.messages, flat.branches
    if not messages:
        conversation.skipped.append(SkippedItem(conversation.external_id, "card without texts"))
    return conversation


def _greetings(messages: Sequence[ImportedMessage]) -> Iterator[str]:
    return (message.external_id for message in messages if message.role == "assistant")


def _holds_card(path: Path) -> bool:
    """Whether a PNG file has a text of a card, which may stand at its end."""
    try:
        return next(png_text.texts(path, *_IN_PNG), None) is not None
    except errors.InvalidImport:
        return False


def _sign(seen: Glimpse) -> bool:
    if seen.start.startswith(png_text.SIGNATURE):
        return _holds_card(seen.path)
    if seen.opening != "{":
        return False
    if seen.first is None:  # a long card
        return seen.has("first_mes", "mes_example")
    return _is_flat(seen.first) or _has_spec(seen.first)


CHARACTER_CARD = Format(
    name="charactercard",
    title="character card",
    reader=read,
    sign=_sign,
    files=_FILES,
)
