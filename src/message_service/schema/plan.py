"""The plan: the changes that bring a database to the catalogue.

`diff` is pure. `make_plan` reads the database, compares, and adds figures that depend on the data.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

from pymongo.asynchronous.database import AsyncDatabase

from message_service.catalogue.declared import CATALOGUE
from message_service.catalogue.model import Catalogue, Collection, Index, Keys, View
from message_service.database.commands import unhurried
from message_service.database.translate import translated
from message_service.documents.row import Row
from message_service.schema import shard_rules, validators
from message_service.schema.changes import Change, ChangeKind, Plan
from message_service.schema.index_forms import canonical, shown
from message_service.schema.index_plan import index_changes, new_indexes
from message_service.schema.live import LiveCollection, LiveSchema, live


async def make_plan(database: AsyncDatabase[Row], catalogue: Catalogue = CATALOGUE) -> Plan:
    """Compare a database with the catalogue.

    Raises:
        IllegalManifest: The catalogue breaks a rule of `shard_rules`.
        MessageServiceError: The database cannot be read.
    """
    plan = diff(catalogue, await live(database))
    weighed = [await _weighed(database, change) for change in plan.changes]
    return dataclasses.replace(plan, changes=tuple(weighed))


def diff(catalogue: Catalogue, found: LiveSchema) -> Plan:
    """Return the changes that bring `found` to the catalogue; nothing is read or written.

    Raises:
        IllegalManifest: The catalogue breaks a rule of `shard_rules`.
    """
    shard_rules.check(catalogue)
    changes: list[Change] = []
    for collection in catalogue.collections:
        changes.extend(_collection_changes(collection, found))
    for view in catalogue.views:
        changes.extend(_view_changes(view, found.collections.get(view.name)))
    changes.extend(_undeclared(catalogue, found))
    before, after = found.state.version, catalogue.version
    if before != after:
        step = f"{after} is recorded" if before is None else f"{before} becomes {after}"
        changes.append(
            Change(ChangeKind.RECORD_VERSION, "schema_state", "version", "none", f"version {step}")
        )
    order = list(ChangeKind)
    changes.sort(key=lambda change: order.index(change.kind))
    return Plan(tuple(changes), before, after)


def _collection_changes(collection: Collection, found: LiveSchema) -> Iterator[Change]:
    existing = found.collections.get(collection.name)
    if existing is None:
        yield Change(
            ChangeKind.CREATE_COLLECTION,
            collection.name,
            collection.name,
            "none",
            collection.purpose,
        )
        yield from new_indexes(collection)
    elif existing.kind != "collection":
        yield _wrong_kind(existing, "collection")
    else:
        if existing.options:
            options = ", ".join(sorted(existing.options))
            yield _foreign(collection.name, f"it was created with options not declared: {options}")
        yield from _validator_changes(collection, existing)
        yield from index_changes(collection, existing, found.state)
    if found.sharded and collection.shard_key is not None:
        yield from _sharding_changes(collection.name, collection.shard_key, existing)


def _validator_changes(collection: Collection, existing: LiveCollection) -> Iterator[Change]:
    same = canonical(existing.validator) == canonical(validators.validator(collection))
    in_force = existing.level == "strict" and existing.action == "error"
    if same and in_force:
        return
    if not same:
        yield Change(
            ChangeKind.SET_VALIDATOR,
            collection.name,
            collection.name,
            "low" if existing.documents else "none",
            "the validator is not the declared one"
            + ("; the new one only warns at first" if existing.documents else ""),
        )
    if existing.documents or same:
        yield Change(
            ChangeKind.PROMOTE_VALIDATOR,
            collection.name,
            collection.name,
            "low",
            "the validator is to refuse what does not conform, once all documents do",
            documents=existing.documents,
        )


def _sharding_changes(name: str, key: Keys, existing: LiveCollection | None) -> Iterator[Change]:
    current = None if existing is None else existing.shard_key
    if current is None:
        yield Change(
            ChangeKind.SHARD_COLLECTION, name, name, "high", f"it is to be sharded by {shown(key)}",
            by="shard", documents=0 if existing is None else existing.documents,
        )  # fmt: skip
    elif current != key:
        yield _foreign(
            name, f"it is sharded by {shown(current)}, not {shown(key)}: see reshardCollection"
        )


def _view_changes(view: View, existing: LiveCollection | None) -> Iterator[Change]:
    if existing is None:
        yield Change(ChangeKind.CREATE_VIEW, view.name, view.name, "none", view.purpose)
    elif existing.kind != "view":
        yield _wrong_kind(existing, "view")
    elif existing.options:
        options = ", ".join(sorted(existing.options))
        yield _foreign(view.name, f"it was created with options not declared: {options}")
    else:
        wanted = canonical(view.pipeline, ordered=True)
        if existing.view_on != view.on or canonical(existing.pipeline, ordered=True) != wanted:
            reason = "its definition is not the declared one"
            yield Change(ChangeKind.CHANGE_VIEW, view.name, view.name, "none", reason)


def _undeclared(catalogue: Catalogue, found: LiveSchema) -> Iterator[Change]:
    declared = {collection.name for collection in catalogue.collections}
    declared |= {view.name for view in catalogue.views}
    for name, existing in found.collections.items():
        if name in declared:
            continue
        if existing.kind != "view":
            reason = "it is not declared; a collection is never dropped from here"
            yield Change(
                ChangeKind.UNKNOWN_COLLECTION, name, name, "none", reason,
                by="hand", documents=existing.documents,
            )  # fmt: skip
        elif name in found.state.created_views:
            yield Change(ChangeKind.DROP_VIEW, name, name, "none", "it is no longer declared")
        else:
            reason = "it is not declared and was not created here"
            yield Change(ChangeKind.DROP_VIEW, name, name, "low", reason, by="drop_unknown")


def _wrong_kind(existing: LiveCollection, wanted: str) -> Change:
    name, reason = existing.name, f"it is a {existing.kind}, and is to be a {wanted}"
    return Change(ChangeKind.WRONG_KIND, name, name, "high", reason, by="hand")


def _foreign(name: str, reason: str) -> Change:
    return Change(ChangeKind.FOREIGN_OPTIONS, name, name, "low", reason, by="hand")


async def _weighed(database: AsyncDatabase[Row], change: Change) -> Change:
    """Return a change that starts a TTL with the number of documents it deletes at once."""
    index = change.index
    starts_ttl = change.kind is ChangeKind.CHANGE_TTL or (
        change.kind in {ChangeKind.CREATE_INDEX, ChangeKind.REPLACE_INDEX}
        and index is not None
        and index.expire_after_seconds is not None
    )
    if not starts_ttl or index is None or not change.documents:
        return change
    expired = await _count_expired(database, change.collection, index)
    if not expired:
        return dataclasses.replace(change, documents=0)
    return dataclasses.replace(
        change,
        risk="high",
        documents=expired,
        reason=f"{change.reason}; {expired:,} documents are past that and will be deleted",
    )


async def _count_expired(database: AsyncDatabase[Row], collection: str, index: Index) -> int:
    field = f"${index.keys[0][0]}"
    latest = {
        "$dateSubtract": {
            "startDate": "$$NOW",
            "unit": "second",
            "amount": index.expire_after_seconds,
        }
    }
    expired: dict[str, Any] = {
        "$expr": {"$and": [{"$eq": [{"$type": field}, "date"]}, {"$lte": [field, latest]}]}
    }
    chosen = {"$and": [dict(index.partial), expired]} if index.partial else expired
    with translated(), unhurried():
        return await database.get_collection(collection).count_documents(
            chosen, comment="catalogue.plan"
        )
