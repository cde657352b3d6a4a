"""Whose summaries there are, and which of them a message belongs to."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import quote

from message_service.documents.analytics import EVERY, Dimension
from message_service.documents.row import Row


class PartKey(NamedTuple):
    """What tells apart the messages of a conversation that belong to different summaries."""

    user_id: str
    character_id: str | None = None
    provider: str | None = None
    model: str | None = None

    def fields(self) -> Row:
        """Return the fields that are there."""
        return {name: value for name, value in self._asdict().items() if value is not None}

    @classmethod
    def of(cls, row: Row) -> PartKey:
        """Return the key of a stored part."""
        return cls(*(row.get(name) for name in cls._fields))  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Subject:
    """What a summary is about.

    Attributes:
        tenant_id: The tenant; `*` for all.
        dimension: What kind of thing.
        name: Its name within its tenant, unique over all dimensions.
        conversation_id: The conversation; `*` when it is none.
        key: The user, character or model.
    """

    tenant_id: str
    dimension: Dimension
    name: str
    conversation_id: str = EVERY
    key: tuple[tuple[str, str], ...] = ()


def conversation(tenant_id: str, conversation_id: str) -> Subject:
    """Return a conversation as subject."""
    name = f"conversation:{conversation_id}"
    return Subject(tenant_id, Dimension.CONVERSATION, name, conversation_id)


def user(tenant_id: str, user_id: str) -> Subject:
    """Return a user as subject."""
    return Subject(tenant_id, Dimension.USER, f"user:{user_id}", key=(("user_id", user_id),))


def character(tenant_id: str, character_id: str) -> Subject:
    """Return a character as subject."""
    name = f"character:{character_id}"
    return Subject(tenant_id, Dimension.CHARACTER, name, key=(("character_id", character_id),))


def model(tenant_id: str, provider: str | None, name: str | None) -> Subject:
    """Return a provider's model as subject."""
    key = tuple(
        (field, value) for field, value in (("provider", provider), ("model", name)) if value
    )
    # A slash in a provider's name must not be taken for the one between the two.
    subject = f"model:{quote(provider or '', safe=' ')}/{name or ''}"
    return Subject(tenant_id, Dimension.MODEL, subject, key=key)


def tenant(tenant_id: str) -> Subject:
    """Return a tenant as subject."""
    return Subject(tenant_id, Dimension.TENANT, f"tenant:{tenant_id}")


GLOBAL = Subject(EVERY, Dimension.GLOBAL, Dimension.GLOBAL.value)
"""All tenants together. Its days are those of each tenant's time zone."""


def subject_of(row: Row) -> Subject:
    """Return the subject of a stored summary."""
    names = PartKey._fields if row["dimension"] != Dimension.CONVERSATION else ()
    return Subject(
        row["tenant_id"],
        Dimension(row["dimension"]),
        row["subject"],
        row["conversation_id"],
        tuple((name, row[name]) for name in names if name in row),
    )


@functools.lru_cache(maxsize=4_096)
def subjects_of(tenant_id: str, key: PartKey) -> tuple[Subject, ...]:
    """Return the subjects that messages of a part belong to, besides their conversation."""
    found = [user(tenant_id, key.user_id)]
    if key.character_id is not None:
        found.append(character(tenant_id, key.character_id))
    if key.provider is not None or key.model is not None:
        found.append(model(tenant_id, key.provider, key.model))
    return (*found, tenant(tenant_id), GLOBAL)


def of_subject(subject: Subject, within: str) -> list[dict[str, Any]]:
    """Return the stage that keeps the parts or members of a subject, each at the path `within`."""
    key = dict(subject.key)
    if subject.dimension is Dimension.MODEL:
        key = {"provider": key.get("provider"), "model": key.get("model")}
    chosen = {f"{within}.{name}": {"$eq": value} for name, value in key.items()}
    return [{"$match": chosen}] if chosen else []
