"""Applies the catalogue to a database: one apply at a time, idempotent, removals last."""

from __future__ import annotations

import dataclasses
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pymongo.asynchronous.database import AsyncDatabase

from message_service import errors
from message_service.catalogue.declared import CATALOGUE
from message_service.catalogue.model import Catalogue, Index
from message_service.clock import Clock
from message_service.database.translate import translated
from message_service.documents.row import Row
from message_service.schema import lock, schema_state, shard_rules
from message_service.schema.changes import By, Change, ChangeKind, Plan
from message_service.schema.plan import make_plan
from message_service.schema.steps import Progress, Steps

_FIRST_WAIT = 120.0
_ESSENTIAL = {ChangeKind.REPLACE_INDEX, ChangeKind.WRONG_KIND}
"""Left undone, these leave a database the service cannot work with: the version is not recorded."""


@dataclass(frozen=True, slots=True)
class ApplyReport:
    """The result of an apply.

    Attributes:
        done: The changes carried out.
        left: The remaining differences, each with the reason.
    """

    done: tuple[Change, ...]
    left: tuple[Change, ...]

    def to_json(self) -> dict[str, Any]:
        """Return what `--json` prints."""
        return {
            "done": [change.to_json() for change in self.done],
            "left": [change.to_json() for change in self.left],
        }


async def apply(
    database: AsyncDatabase[Row],
    catalogue: Catalogue = CATALOGUE,
    *,
    clock: Clock,
    drop_retired: bool = False,
    drop_unknown: bool = False,
    promote: bool = True,
    lease: float = lock.DEFAULT_LEASE,
    wait: float = lock.DEFAULT_WAIT,
    random: Callable[[int], bytes] = os.urandom,
    progress: Progress | None = None,
) -> ApplyReport:
    """Carry out the difference between a database and the catalogue.

    Safe to repeat, and to run concurrently: the second apply waits and then finds nothing to do.
    Removals come last, and are not done when a change before them failed.

    Args:
        database: The database.
        catalogue: The declared catalogue.
        clock: The present moment, for the record.
        drop_retired: Drop indexes of ours that an earlier apply has hidden.
        drop_unknown: Drop indexes and views that were not created here.
        promote: Put validators in force once every document conforms (this reads them all).
        lease: Seconds another apply waits for this one if it dies.
        wait: Seconds to wait for another apply.
        random: Source of the random part of the lease holder's name.
        progress: Called with the step that begins.

    Raises:
        IllegalManifest: The catalogue breaks a rule of `shard_rules`; nothing was done.
        SchemaTooNew: A newer release has changed the database; nothing was done.
        CatalogueError: A change failed (duplicates under a unique index, for example), or another
            apply did not finish in time. Other additions were made.
        MessageServiceError: The server refused, or did not answer. Apply again.
    """
    shard_rules.check(catalogue)
    allowed: set[By] = {"apply"}
    if drop_retired:
        allowed.add("drop_retired")
    if drop_unknown:
        allowed.add("drop_unknown")
    holder = f"{socket.gethostname()}:{os.getpid()}:{random(4).hex()}"
    async with lock.held(database, holder, lease=lease, wait=wait) as ours:
        plan = await make_plan(database, catalogue)
        schema_state.check_not_newer(await schema_state.read(database), catalogue.version)
        skipped = set[ChangeKind]()
        if not promote:
            skipped.add(ChangeKind.PROMOTE_VALIDATOR)
        if any(change.by not in allowed and change.kind in _ESSENTIAL for change in plan.changes):
            skipped.add(ChangeKind.RECORD_VERSION)
        chosen = [
            change for change in plan.changes if change.by in allowed and change.kind not in skipped
        ]
        steps = Steps(database, catalogue, clock, progress)
        done, held_back = await _carry_out(steps, database, chosen, ours)
        after = await make_plan(database, catalogue) if done else plan
        await steps.wait_for_builds(
            frozenset(
                (change.collection, change.target)
                for change in after.changes
                if change.index is not None or change.kind is ChangeKind.WRONG_KIND
            )
        )
    return ApplyReport(tuple(done), tuple(_left(after, held_back)))


async def ensure(
    database: AsyncDatabase[Row], clock: Clock, catalogue: Catalogue = CATALOGUE
) -> None:
    """Prepare a new database, or refuse one with another schema version; cheap otherwise.

    A database with documents is never changed here; that is left to `db apply` and an operator.

    Raises:
        SchemaTooNew: A newer release has changed the database.
        CatalogueError: The database holds documents, but not the schema of this release.
    """
    state = await schema_state.read(database)
    schema_state.check_not_newer(state, catalogue.version)
    if state.version == catalogue.version:
        return
    if state.version is None and await _holds_nothing(database, catalogue):
        await apply(database, catalogue, clock=clock, wait=_FIRST_WAIT)
        return
    found = "no schema" if state.version is None else f"schema version {state.version}"
    raise errors.CatalogueError(
        f"the database {database.name!r} holds documents but has {found}; this release needs "
        f"version {catalogue.version}. Look at `message-service db plan`, then run "
        "`message-service db apply`",
        stored=state.version,
        needed=catalogue.version,
    )


async def _holds_nothing(database: AsyncDatabase[Row], catalogue: Catalogue) -> bool:
    for collection in catalogue.collections:
        with translated():
            found = await database.get_collection(collection.name).find_one(
                {}, {"_id": 1}, comment="catalogue.ensure"
            )
        if found is not None:
            return False
    return True


async def _carry_out(
    steps: Steps, database: AsyncDatabase[Row], chosen: Sequence[Change], ours: lock.ApplyLease
) -> tuple[list[Change], dict[tuple[ChangeKind, str], str]]:
    """Carry out changes in order; gather failures of additions, which prevent removals."""
    await schema_state.remember_created(database, _new_indexes(chosen), _new_views(chosen))
    done: list[Change] = []
    held_back: dict[tuple[ChangeKind, str], str] = {}
    failures: list[errors.CatalogueError] = []
    for group in _grouped(chosen):
        first = group[0]
        if failures and (first.kind.removes or first.kind is ChangeKind.RECORD_VERSION):
            break
        await ours.renew()
        try:
            if len(group) > 1:
                await steps.create_indexes(first.collection, _indexes(group))
                why = None
            else:
                why = await steps.carry_out(first)
        except errors.CatalogueError as failure:
            failures.append(failure)
            continue
        if why is None:
            done.extend(group)
        else:
            held_back[first.kind, first.target] = why
    if failures:
        raise errors.CatalogueError(
            "; ".join(failure.message for failure in failures),
            failures=[failure.details for failure in failures],
            done=[change.to_json() for change in done],
        )
    return done, held_back


def _grouped(changes: Sequence[Change]) -> Iterator[list[Change]]:
    """Yield changes one by one, but index builds that cannot fail on data together."""
    together: list[Change] = []
    for change in changes:
        joins = change.kind is ChangeKind.CREATE_INDEX and not (
            change.documents and change.index is not None and change.index.unique
        )
        if together and not (joins and together[0].collection == change.collection):
            yield together
            together = []
        if joins:
            together.append(change)
        else:
            yield [change]
    if together:
        yield together


def _indexes(changes: Sequence[Change]) -> list[Index]:
    return [change.index for change in changes if change.index is not None]


def _new_indexes(changes: Sequence[Change]) -> list[tuple[str, str]]:
    building = {ChangeKind.CREATE_INDEX, ChangeKind.REPLACE_INDEX}
    return [(change.collection, change.target) for change in changes if change.kind in building]


def _new_views(changes: Sequence[Change]) -> list[str]:
    return [change.target for change in changes if change.kind is ChangeKind.CREATE_VIEW]


def _left(after: Plan, held_back: dict[tuple[ChangeKind, str], str]) -> Iterator[Change]:
    for change in after.changes:
        why = held_back.get((change.kind, change.target))
        yield change if why is None else dataclasses.replace(change, reason=why)
