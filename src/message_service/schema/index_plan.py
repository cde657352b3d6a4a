"""The changes that make a collection's indexes the declared ones."""

from __future__ import annotations

from collections.abc import Iterator

from message_service.catalogue.model import Collection, Index
from message_service.schema.changes import Change, ChangeKind
from message_service.schema.index_forms import IndexForm, declared_form, shown
from message_service.schema.live import LiveCollection
from message_service.schema.schema_state import SchemaState

_IN_PLACE = {"hidden", "expireAfterSeconds", "unique", "prepareUnique"}
"""Options the server can change without building the index anew."""


def new_indexes(collection: Collection) -> Iterator[Change]:
    """Yield the changes that build the indexes of a new collection."""
    for index in collection.indexes:
        yield Change(
            ChangeKind.CREATE_INDEX, collection.name, index.name, "none", index.purpose, index=index
        )


def index_changes(
    collection: Collection, found: LiveCollection, state: SchemaState
) -> Iterator[Change]:
    """Yield the changes that make the indexes of `found` those of `collection`.

    An index with a declared name belongs to the catalogue, whoever created it. Any other index is
    ours only if `state` says that we created it.
    """
    declared = {index.name for index in collection.indexes}
    ours = {name for owner, name in state.created_indexes if owner == collection.name}
    by_name = {form.name: form for form in found.indexes}
    given_up: set[str] = set()
    for index in collection.indexes:
        form = declared_form(index)
        existing = by_name.get(index.name)
        if existing is None:
            in_place = []
        else:
            differing = existing.differences(form)
            if not differing:
                continue
            in_place = list(_in_place(collection.name, found.documents, existing, index, differing))
        if in_place:
            yield from in_place
            continue
        change = _built(collection.name, found, index, form, declared | ours)
        given_up.update(change.drops)
        yield change
    for form in found.indexes:
        if form.name in declared or (form.name in given_up and form.name in ours):
            continue
        yield _undeclared(collection.name, found.documents, form, form.name in ours)


def _in_place(
    collection: str, documents: int, existing: IndexForm, index: Index, differing: frozenset[str]
) -> Iterator[Change]:
    """Yield the option changes the server can make in place; nothing when a rebuild is needed."""
    seconds = index.expire_after_seconds
    if not differing <= _IN_PLACE:
        return
    if "expireAfterSeconds" in differing and seconds is None:
        return
    if "unique" in differing and not index.unique:
        return
    if "hidden" in differing:
        yield Change(
            ChangeKind.UNHIDE_INDEX, collection, index.name, "none", "it is declared, but hidden",
            index=index,
        )  # fmt: skip
    if "expireAfterSeconds" in differing:
        before = existing.options.get("expireAfterSeconds")
        was = "did not expire" if before is None else f"expired after {before} s"
        yield Change(
            ChangeKind.CHANGE_TTL, collection, index.name, "low",
            f"documents {was}, and are to expire after {seconds} s",
            documents=documents, index=index,
        )  # fmt: skip
    if "unique" in differing:
        yield Change(
            ChangeKind.CONVERT_UNIQUE, collection, index.name, "low",
            "it is to be unique; duplicates are refused from then on, and stop it if there are any",
            documents=documents, index=index,
        )  # fmt: skip
    elif "prepareUnique" in differing:
        yield Change(
            ChangeKind.STOP_PREPARE_UNIQUE, collection, index.name, "none",
            "it refuses duplicates in preparation of something that is not declared",
            index=index,
        )  # fmt: skip


def _built(
    collection: str, found: LiveCollection, index: Index, form: IndexForm, droppable: set[str]
) -> Change:
    """Return the change that builds an index, with the indexes that must be dropped first."""
    in_the_way = [other for other in found.indexes if other.excludes(form)]
    if not in_the_way:
        return Change(
            ChangeKind.CREATE_INDEX, collection, index.name, "low" if found.documents else "none",
            index.purpose, documents=found.documents, index=index,
        )  # fmt: skip
    described = ", ".join(
        f"{other.name} (differs in {', '.join(sorted(other.differences(form)) or ['name'])})"
        for other in in_the_way
    )
    foreign = [other.name for other in in_the_way if other.name not in droppable]
    return Change(
        ChangeKind.REPLACE_INDEX,
        collection,
        index.name,
        "high" if found.documents else "none",
        f"it is to be {shown(form.keys)} in place of {described}, which is dropped first"
        if not foreign
        else f"{', '.join(foreign)}, which was not created here, stands in its place",
        by="drop_unknown" if foreign else "apply",
        documents=found.documents,
        index=index,
        drops=tuple(other.name for other in in_the_way),
    )


def _undeclared(collection: str, documents: int, form: IndexForm, ours: bool) -> Change:
    if not ours:
        return Change(
            ChangeKind.DROP_INDEX, collection, form.name, "low",
            f"{shown(form.keys)} is not declared and was not created here",
            by="drop_unknown", documents=documents,
        )  # fmt: skip
    if not form.hidden:
        return Change(
            ChangeKind.HIDE_INDEX, collection, form.name, "low",
            f"{shown(form.keys)} is no longer declared; hidden, it can be shown again at once",
            documents=documents,
        )  # fmt: skip
    return Change(
        ChangeKind.DROP_INDEX, collection, form.name, "low",
        f"{shown(form.keys)} is no longer declared, and hidden",
        by="drop_retired", documents=documents,
    )  # fmt: skip
