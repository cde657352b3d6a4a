"""Makes messages of the texts of a character card."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from message_service.interchange.reading.json_reading import as_list, as_number, as_object, as_text
from message_service.interchange.reading.part_making import full, other, unread
from message_service.interchange.reading.records import ImportedMessage, SkippedItem, present

_FIELDS = (
    *("description", "personality", "scenario", "system_prompt", "post_history_instructions"),
    *("mes_example", "creator_notes", "creatorcomment"),
)
_KNOWN = frozenset(
    {
        *(*_FIELDS, "name", "first_mes", "alternate_greetings", "group_only_greetings", "tags"),
        *("creator", "character_version", "nickname", "source", "assets", "creation_date"),
        *("modification_date", "create_date", "character_book", "creator_notes_multilingual"),
        *("spec_version", "extensions", "talkativeness", "fav", "avatar", "chat"),
    }
)
_OF_ENTRY = frozenset(
    {
        *("content", "id", "name", "comment", "keys", "secondary_keys", "enabled", "constant"),
        *("insertion_order", "priority", "position"),
    }
)
_ALTERNATIVES = ("alternate_greetings", "group_only_greetings")
_BOOK = "character_book"
_EXTENSIONS_READ = frozenset({"talkativeness", "fav", "world", "depth_prompt"})


def messages_of(
    fields: Mapping[str, Any], created_at: datetime | None
) -> tuple[list[ImportedMessage], list[SkippedItem]]:
    """Return the messages of a card, with their parents, and the items that are not stored.

    The texts that only the model sees are hidden messages, each after the one before it; all
    greetings follow the last of them.

    Args:
        fields: The card's fields.
        created_at: The date of the card.
    """
    skipped: list[SkippedItem] = []
    messages: list[ImportedMessage] = []
    taken: set[str] = set()
    last: str | None = None
    for message in [*_hidden(fields, skipped), *_greetings(fields, skipped)]:
        number, own = 1, message.external_id
        while message.external_id in taken:
            number += 1
            message.external_id = f"{own}#{number}"
        taken.add(message.external_id)
        message.created_at = created_at
        message.parent = last
        if message.role == "system":
            last = message.external_id
        messages.append(message)
    return messages, skipped


def _hidden(fields: Mapping[str, Any], skipped: list[SkippedItem]) -> Iterator[ImportedMessage]:
    for name in _FIELDS:
        text = as_text(fields.get(name))
        if name == "creatorcomment" and text == as_text(fields.get("creator_notes")):
            continue  # SillyTavern's name for the same notes
        if text is not None:
            yield _field(name, text)
        elif fields.get(name):
            yield _data(name, fields[name])
    for language, notes in (as_object(fields.get("creator_notes_multilingual")) or {}).items():
        text = as_text(notes)
        if text is not None:
            yield _field(f"creator_notes_multilingual/{language}", text)
    extensions = as_object(fields.get("extensions")) or {}
    prompt = as_object(extensions.get("depth_prompt")) or {}
    text = as_text(prompt.get("prompt"))
    if text is not None:
        facts = {
            "depth": as_number(prompt.get("depth")),
            "prompt_role": as_text(prompt.get("role")),
        }
        yield _field("depth_prompt", text, **facts)
    for name, holder, known in (
        ("extensions", extensions, _EXTENSIONS_READ),
        ("other_fields", fields, _KNOWN),
    ):
        rest = {key: value for key, value in holder.items() if key not in known and full(value)}
        if rest:
            yield _data(name, rest)
    yield from _book(fields.get(_BOOK), skipped)


def _book(value: object, skipped: list[SkippedItem]) -> Iterator[ImportedMessage]:
    book = as_object(value) or {}
    for name in ("name", "description"):
        text = as_text(book.get(name))
        if text is not None:
            yield _field(f"{_BOOK}/{name}", text)
    given = book.get("entries")
    # SillyTavern's own lorebooks have an object of entries.
    entries = as_list(given) or list((as_object(given) or {}).values())
    for place, item in enumerate(entries, start=1):
        entry = as_object(item) or {}
        identifier = entry.get("id")
        own = as_text(identifier) or (
            str(identifier) if as_number(identifier) is not None else f"#{place}"
        )
        text = as_text(entry.get("content"))
        if text is None:
            skipped.append(SkippedItem(f"{_BOOK}/{own}", "lorebook entry without a text"))
            continue
        rest = unread(entry, _OF_ENTRY)
        yield _field(
            f"{_BOOK}/{own}",
            text,
            card_field=_BOOK,
            entry_name=as_text(entry.get("name")),
            comment=as_text(entry.get("comment")),
            keys=_words(entry.get("keys")),
            secondary_keys=_words(entry.get("secondary_keys")),
            enabled=False if entry.get("enabled") is False else None,
            constant=entry.get("constant") is True or None,
            insertion_order=as_number(entry.get("insertion_order")),
            priority=as_number(entry.get("priority")),
            position=as_text(entry.get("position")),
            other_fields=rest,
        )


def _greetings(fields: Mapping[str, Any], skipped: list[SkippedItem]) -> Iterator[ImportedMessage]:
    first = as_text(fields.get("first_mes"))
    if first is not None:
        yield _greeting("first_mes", "first_mes", first)
    for name in _ALTERNATIVES:
        for place, item in enumerate(as_list(fields.get(name)), start=1):
            text = as_text(item)
            if text is None:
                skipped.append(SkippedItem(f"{name}/{place}", "greeting without a text"))
            else:
                yield _greeting(f"{name}/{place}", name, text)


def _greeting(own: str, name: str, text: str) -> ImportedMessage:
    return ImportedMessage(
        external_id=own, role="assistant", text=text, custom={"card_field": name}
    )


def _field(own: str, text: str, **facts: object) -> ImportedMessage:
    return ImportedMessage(
        external_id=own,
        role="system",
        text=text,
        message_type="system",
        status="hidden",
        custom=present({"card_field": own, **facts}),
    )


def _data(name: str, value: object) -> ImportedMessage:
    """Return the hidden message for fields that are no text."""
    message = _field(name, "")
    message.parts = [other(name, value)]
    return message


def _words(value: object) -> list[str]:
    return [word for word in as_list(value) if isinstance(word, str)]
