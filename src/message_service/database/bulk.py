"""Bulk writes: many documents of any tenants in one round trip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pymongo import DeleteOne, ReplaceOne, UpdateMany, UpdateOne
from pymongo.errors import BulkWriteError
from pymongo.results import BulkWriteResult

from message_service import errors
from message_service.database.access import TRANSIENT, Access, hint_of, tenant_filter
from message_service.database.query import Query
from message_service.database.translate import server_error, translate, translated
from message_service.documents.row import Row

Update = Mapping[str, Any] | Sequence[Mapping[str, Any]]
Operation = ReplaceOne[Row] | DeleteOne | UpdateMany | UpdateOne


@dataclass(frozen=True, slots=True)
class Refused:
    """A document that an insert did not write.

    Attributes:
        position: Its position in the inserted list.
        error: The reason; `AlreadyExists` for a conflict with a unique index.
        fields: The fields of that index, in order; empty otherwise.
    """

    position: int
    error: errors.MessageServiceError
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TargetedUpdate:
    """One update of one document of one tenant.

    Attributes:
        tenant_id: The tenant.
        values: The values for the query's `build`.
        update: The update, or an update pipeline.
    """

    tenant_id: str
    values: Mapping[str, Any]
    update: Update


async def insert(
    access: Access, collection: str, documents: Sequence[Row], *, ordered: bool, comment: str
) -> list[Refused]:
    """Insert documents; see `Store.insert`."""
    with translated():
        try:
            await access.collection(collection).insert_many(
                documents, ordered=ordered, comment=comment, session=access.session
            )
        except BulkWriteError as error:
            return _refusals(access, error)
    return []


async def update_each(
    access: Access, query: Query, updates: Sequence[TargetedUpdate], *, upsert: bool = False
) -> int:
    """Apply independent updates; see `Store.update_each`."""
    result = await _send(
        access,
        query,
        [
            UpdateOne(
                tenant_filter(query, each.values, each.tenant_id),
                each.update,
                upsert=upsert,
                hint=hint_of(query),
            )
            for each in updates
        ],
    )
    return 0 if result is None else result.matched_count


async def update_groups(
    access: Access, query: Query, groups: Sequence[tuple[Mapping[str, Any], Update]]
) -> int:
    """Apply updates of many documents each; see `Store.update_groups`."""
    result = await _send(
        access,
        query,
        [
            UpdateMany(query.build(**values), update, hint=hint_of(query))
            for values, update in groups
        ],
    )
    return 0 if result is None else result.matched_count


async def replace_each(
    access: Access, query: Query, documents: Sequence[tuple[Mapping[str, Any], Row]]
) -> None:
    """Put documents in the place of older ones; see `Store.replace_each`."""
    operations = [
        ReplaceOne(
            tenant_filter(query, values, document["tenant_id"]),
            document,
            upsert=True,
            hint=hint_of(query),
        )
        for values, document in documents
    ]
    await _send(access, query, operations, keep_newer=True)


async def delete_each(
    access: Access, query: Query, chosen: Sequence[tuple[str, Mapping[str, Any]]]
) -> int:
    """Remove documents; see `Store.delete_each`."""
    result = await _send(
        access,
        query,
        [
            DeleteOne(tenant_filter(query, values, tenant_id), hint=hint_of(query))
            for tenant_id, values in chosen
        ],
    )
    return 0 if result is None else result.deleted_count


async def _send(
    access: Access, query: Query, operations: Sequence[Operation], *, keep_newer: bool = False
) -> BulkWriteResult | None:
    """Send operations, unordered; None when some left a newer document in place."""
    with translated():
        try:
            return await access.collection(query.collection).bulk_write(
                operations, ordered=False, comment=query.name, session=access.session
            )
        except BulkWriteError as error:
            if not keep_newer:
                raise
            for refusal in _refusals(access, error):
                if not isinstance(refusal.error, errors.AlreadyExists):
                    raise refusal.error from error
    return None


def _refusals(access: Access, error: BulkWriteError) -> list[Refused]:
    """Return the refused documents of a bulk write whose other documents are written.

    Raises:
        BulkWriteError: The other documents may not be written: a majority did not confirm them,
            or this is a transaction, which the server aborts at the first refusal.
    """
    if access.session is not None and not error.has_error_label(TRANSIENT):
        access.refusal = translate(error)
    if error.details.get("writeConcernErrors") or access.session is not None:
        raise error
    return [
        Refused(
            position=failure["index"],
            error=server_error(failure.get("code"), str(failure.get("errmsg"))),
            fields=tuple(failure.get("keyPattern", ())),
        )
        for failure in error.details["writeErrors"]
    ]
