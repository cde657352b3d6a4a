"""One tenant's characters: the calls callers make."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from message_service import errors
from message_service.arguments import check_mapping
from message_service.catalogue.queries.characters import CHARACTER_BY_ID, CHARACTERS
from message_service.clock import Clock
from message_service.database.scope import Scope
from message_service.documents.character import Character
from message_service.documents.validation import checked
from message_service.ids import IdKind, check_id
from message_service.paging.cursors import CursorSigner
from message_service.paging.page import Page, check_limit

_OWN = frozenset({"tenant_id", "character_id", "created_at", "updated_at", "revision", "id"})
_FIELDS = tuple(name for name in Character.model_fields if name not in (*_OWN, "revision_id"))


class Characters:
    """One tenant's characters.

    Args:
        scope: The tenant's scope.
        clock: The present moment.
        signer: Signs cursors.
    """

    def __init__(self, scope: Scope, clock: Clock, signer: CursorSigner) -> None:
        self._scope = scope
        self._clock = clock
        self._signer = signer

    async def set(self, character_id: str, card: Mapping[str, Any]) -> Character:
        """Store a character, in place of the one that has this id.

        Args:
            character_id: The character; conversations name it in `character_id`.
            card: The fields of `documents.character.Character`: `name`, and any of
                `system_prompt`, `description`, `personality`, `scenario`, `example_dialogue`,
                `post_history_instructions`, `author_note` and `author_note_depth`.

        Raises:
            InvalidInput: A field is unknown or wrong.
        """
        check_id(IdKind.CHARACTER, "character_id", character_id)
        given = check_mapping("card", card)
        unknown = next((name for name in given if name not in _FIELDS), None)
        if unknown is not None:
            raise errors.InvalidInput(
                f"card.{unknown}", "is not known", f"Use any of: {', '.join(_FIELDS)}"
            )
        now = self._clock.now()
        own = {
            "tenant_id": self._scope.tenant_id,
            "character_id": character_id,
            "created_at": now,
            "updated_at": now,
        }
        try:
            wanted = checked(Character, {**given, **own}).to_bson()
        except errors.InvalidInput as error:
            raise type(error)(f"card.{error.field}", error.problem, error.fix) from None
        fields = {name: wanted[name] for name in _FIELDS if name in wanted}
        update: dict[str, Any] = {
            "$set": {**fields, "updated_at": now},
            "$setOnInsert": {"created_at": now},
            "$inc": {"revision": 1},
        }
        removed = {name: "" for name in _FIELDS if name not in fields}
        if removed:
            update["$unset"] = removed
        await self._scope.update_each(
            CHARACTER_BY_ID, [({"character_id": character_id}, update)], upsert=True
        )
        return await self.get(character_id)

    async def get(self, character_id: str) -> Character:
        """Return a character.

        Raises:
            NotFound: No such character in this tenant.
        """
        check_id(IdKind.CHARACTER, "character_id", character_id)
        row = await self._scope.find_one(CHARACTER_BY_ID, character_id=character_id)
        if row is None:
            raise errors.NotFound("character", character_id)
        return Character.model_validate(row)

    async def list(self, *, limit: int = 50, cursor: str | None = None) -> Page[Character]:
        """Return characters, by id.

        Args:
            limit: Most characters, 1 to 1,000.
            cursor: From an earlier page.

        Raises:
            InvalidCursor: The cursor was altered or is another listing's.
            InvalidInput: The limit is out of range.
        """
        check_limit(limit)
        listing = self._signer.of("characters", self._scope.tenant_id)
        after = None if cursor is None else listing.position(cursor)[1]
        rows = await self._scope.find(CHARACTERS, limit=limit + 1, after=after)
        items = [Character.model_validate(row) for row in rows[:limit]]
        following = listing.at(0, items[-1].character_id) if len(rows) > limit else None
        return Page(items, next=following)

    async def delete(self, character_id: str) -> None:
        """Delete a character; its conversations stay, and go on without a card.

        Raises:
            NotFound: No such character in this tenant.
        """
        check_id(IdKind.CHARACTER, "character_id", character_id)
        if not await self._scope.delete_many(CHARACTER_BY_ID, character_id=character_id):
            raise errors.NotFound("character", character_id)
