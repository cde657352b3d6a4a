"""The queries on `characters`."""

from __future__ import annotations

from message_service.catalogue.queries.parts import equal
from message_service.database.query import Filter, Query

_CHARACTER = "char_000000000001"


def _after(after: str | None) -> Filter:
    return {} if after is None else {"character_id": {"$gt": after}}


CHARACTER_BY_ID = Query(
    name="characters.by_id",
    collection="characters",
    purpose="One character",
    index="idx_character_unique",
    build=equal("character_id"),
    example={"character_id": _CHARACTER},
)

CHARACTERS = Query(
    name="characters.all",
    collection="characters",
    purpose="A tenant's characters, by id",
    index="idx_character_unique",
    build=_after,
    example={"after": None},
    sort=(("character_id", 1),),
)
