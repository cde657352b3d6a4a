"""Stores new jobs: defaults of their type, dependencies, lanes, dedupe keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from message_service import errors
from message_service.catalogue.queries.jobs import JOB_BY_DEDUPE_KEY, JOB_IN_STATUS, JOBS_BY_IDS
from message_service.clock import Clock
from message_service.database.bulk import Refused
from message_service.database.scope import Scope
from message_service.database.transaction import Transaction
from message_service.documents.job import JobStatus, OnFailedDependency
from message_service.documents.row import Row
from message_service.ids import IdFactory
from message_service.queue import job_updates
from message_service.queue.job_building import JobBuilder
from message_service.queue.lanes import next_number
from message_service.queue.new_job import NewJob, OnDuplicate
from message_service.queue.ordering import AT_ONCE
from message_service.queue.registry import JobKind
from message_service.queue.settling import Settler

_COLLECTION = "processing_queue"
_ATTEMPTS = 100
REPLACED = "replaced"


class EnqueueOutcome(StrEnum):
    """What has become of a job that was enqueued.

    `duplicate`: a live job with its dedupe key was kept. `replaced`: it was stored in the place of
    that one. `updated`: that one has its parameters now.
    """

    STORED = "stored"
    DUPLICATE = "duplicate"
    REPLACED = "replaced"
    UPDATED = "updated"


@dataclass(frozen=True, slots=True)
class Enqueued:
    """A job that was enqueued.

    Attributes:
        job_id: The job's id; of the live job, when that was kept or updated.
        outcome: What was done.
    """

    job_id: str
    outcome: EnqueueOutcome


class Enqueuing:
    """Stores jobs of one tenant.

    Args:
        scope: The tenant's scope.
        settler: Settles jobs.
        clock: The present moment.
        ids: Makes ids.
        ageing: Seconds of waiting that one rank of priority is worth.
        deadline: Seconds a change is tried through failover.
    """

    def __init__(
        self,
        scope: Scope,
        settler: Settler,
        clock: Clock,
        ids: IdFactory,
        ageing: float,
        deadline: float,
    ) -> None:
        self._scope = scope
        self._settler = settler
        self._builder = JobBuilder(scope.tenant_id, ids, ageing)
        self._clock = clock
        self._deadline = deadline

    async def enqueue(
        self, jobs: Sequence[tuple[NewJob, JobKind]], within: Transaction | None
    ) -> list[Enqueued | errors.MessageServiceError]:
        """Store checked jobs; return what has become of each.

        Jobs that depend on one another are stored in a transaction.

        Raises:
            NotFound: A job they depend on does not exist; nothing was stored.
            MessageServiceError: Within a transaction, the first refusal.
        """
        if within is None and _refer_to_one_another(jobs):
            stored = await self._scope.transaction(
                lambda transaction: self.enqueue(jobs, transaction), seconds=self._deadline
            )
            await self._settle_stored(stored)
            return stored
        scope = self._scope if within is None else self._scope.within(within)
        now = self._clock.now()
        documents = [self._builder.document(job, kind, now) for job, kind in jobs]
        await self._check_dependencies(scope, documents)
        outcomes: dict[int, Enqueued | errors.MessageServiceError] = {}
        places = range(len(documents))
        await self._insert(
            scope,
            [
                (place, documents[place])
                for place in places
                if "dedupe_key" not in documents[place]["queue_metadata"]
            ],
            outcomes,
        )
        for place, (job, _) in enumerate(jobs):
            if place not in outcomes:
                try:
                    outcomes[place] = await self._one(scope, job, documents[place], within)
                except errors.Unavailable:
                    raise
                except errors.MessageServiceError as error:
                    if within is not None:
                        raise
                    outcomes[place] = error
        if within is None:
            await self._settle(
                [documents[place] for place in places if isinstance(outcomes[place], Enqueued)]
            )
        return [outcomes[place] for place in places]

    async def _insert(
        self,
        scope: Scope,
        documents: Sequence[tuple[int, Row]],
        outcomes: dict[int, Enqueued | errors.MessageServiceError],
    ) -> None:
        """Insert jobs without dedupe keys, those of one lane in order."""
        left = [*documents]
        for _ in range(_ATTEMPTS):
            if not left:
                return
            ordered = await self._number(scope, [document for _, document in left])
            refused = await scope.insert_many(
                _COLLECTION,
                [document for _, document in left],
                comment="jobs.enqueue",
                ordered=ordered,
            )
            by_position = {refusal.position: refusal for refusal in refused}
            again: list[tuple[int, Row]] = []
            for position, (place, document) in enumerate(left):
                refusal = by_position.get(position)
                if refusal is None:
                    outcomes[place] = Enqueued(document["job_id"], EnqueueOutcome.STORED)
                elif _is_of_lane(refusal):
                    again.append((place, document))
                else:
                    outcomes[place] = _refusal(refusal.error, document)
                if refusal is not None and ordered:
                    again.extend(left[position + 1 :])
                    break
            left = again
        raise errors.Unavailable("other writers of the same lane were always faster")

    async def _number(self, scope: Scope, documents: Sequence[Row]) -> bool:
        """Give jobs their numbers in their lanes; return whether any has one.

        The first job of a lane without live jobs has the turn at once, if it can run.
        """
        ends: dict[str, int] = {}
        for document in documents:
            lane: str | None = document["queue_metadata"].get("lane")
            if lane is None:
                continue
            number = ends.get(lane)
            if number is None:
                number = await next_number(scope, lane)
            document["queue_metadata"]["lane_number"] = number
            ends[lane] = number + 1
            can_run = document.get("attention_at") == AT_ONCE and "blocked_by" not in document
            if "has_turn" in document or (number == 1 and can_run):
                self._builder.give_turn(document, given=number == 1)
        return bool(ends)

    async def _settle_stored(
        self, outcomes: Sequence[Enqueued | errors.MessageServiceError]
    ) -> None:
        job_ids = [each.job_id for each in outcomes if isinstance(each, Enqueued)]
        rows = await self._scope.find(JOBS_BY_IDS, job_ids=job_ids)
        await self._settle(rows)

    async def _settle(self, documents: Sequence[Row]) -> None:
        """Settle what was stored just now; its own time is good enough for that."""
        due = [
            {**document, "now": document["created_at"]}
            for document in documents
            if document.get("attention_at") == AT_ONCE
        ]
        try:
            if due:
                await self._settler.settle(due)
        except errors.Unavailable:
            return  # they are stored; the sweep finds them

    async def _one(
        self, scope: Scope, job: NewJob, document: Row, within: Transaction | None
    ) -> Enqueued:
        """Store a job with a lane or a dedupe key."""
        # Most keys are new, and the index refuses the others: the insert is the first look. In a
        # transaction a refusal would end it; and what stands beside another job is changed before.
        first = within is None and job.lane is None and job.on_duplicate is OnDuplicate.REJECT
        for _ in range(_ATTEMPTS):
            if job.dedupe_key is not None and not first:
                live = await scope.find_one(JOB_BY_DEDUPE_KEY, dedupe_key=job.dedupe_key)
                if live is not None:
                    done = await self._beside(scope, job, document, live, within)
                    if done is not None:
                        return done
                    continue
            await self._number(scope, [document])
            if within is not None:
                await scope.insert_many(_COLLECTION, [document], comment="jobs.enqueue")
                return Enqueued(document["job_id"], EnqueueOutcome.STORED)
            refused = await scope.insert_many(_COLLECTION, [document], comment="jobs.enqueue")
            if not refused:
                return Enqueued(document["job_id"], EnqueueOutcome.STORED)
            known = _is_of_lane(refused[0]) or "queue_metadata.dedupe_key" in refused[0].fields
            if not known and not first:
                raise _refusal(refused[0].error, document)
            first = False
        raise errors.Unavailable("other writers of the same lane or dedupe key were always faster")

    async def _beside(
        self, scope: Scope, job: NewJob, document: Row, live: Row, within: Transaction | None
    ) -> Enqueued | None:
        """Store a job whose dedupe key a live job has; None when that has just changed."""
        if job.on_duplicate is OnDuplicate.REJECT:
            return Enqueued(live["job_id"], EnqueueOutcome.DUPLICATE)
        waits = live["status"] == JobStatus.PENDING
        if job.on_duplicate is OnDuplicate.KEEP_LATEST and waits:
            updated = await scope.update_one(
                JOB_IN_STATUS,
                job_updates.given_again(document),
                job_id=live["job_id"],
                statuses=[JobStatus.PENDING.value],
            )
            if not updated:
                return None
            document.pop("attention_at", None)  # it is not stored itself
            if within is None:
                await self._settler.settle_ids([live["_id"]])
            return Enqueued(live["job_id"], EnqueueOutcome.UPDATED)
        if job.on_duplicate is OnDuplicate.KEEP_LATEST:
            change = job_updates.without_dedupe_key(has_dependents=True)
            document["queue_metadata"]["depends_on"] = [
                *document["queue_metadata"].get("depends_on", ()),
                live["job_id"],
            ]
            document["queue_metadata"]["on_failed_dependency"] = OnFailedDependency.RUN.value
            document["blocked_by"] = document["queue_metadata"]["depends_on"]
            document["attention_at"] = AT_ONCE
            document.pop("claim_order", None)
        elif waits:
            change = job_updates.ended(
                JobStatus.CANCELLED, REPLACED, f"job {document['job_id']} was put in its place"
            )
            change = [*change, *job_updates.replaced(document["job_id"])]
        else:
            change = [
                *job_updates.without_dedupe_key(has_dependents=False),
                *job_updates.replaced(document["job_id"]),
                *job_updates.asked_to_stop(),
            ]

        async def exchange(transaction: Transaction) -> bool:
            inside = self._scope.within(transaction)
            moved = await inside.update_one(
                JOB_IN_STATUS, change, job_id=live["job_id"], statuses=[live["status"]]
            )
            if moved:
                await self._number(inside, [document])
                await inside.insert_many(_COLLECTION, [document], comment="jobs.enqueue")
            return moved

        if within is not None:
            stored = await exchange(within)
        else:
            stored = await scope.transaction(exchange, seconds=self._deadline)
        if not stored:
            return None
        if within is None:
            await self._settler.settle_ids([live["_id"]])
        replaced = job.on_duplicate is OnDuplicate.REPLACE
        return Enqueued(
            document["job_id"], EnqueueOutcome.REPLACED if replaced else EnqueueOutcome.STORED
        )

    async def _check_dependencies(self, scope: Scope, documents: Sequence[Row]) -> None:
        waits = {
            document["job_id"]: document["blocked_by"]
            for document in documents
            if "blocked_by" in document
        }
        if not waits:
            return
        _check_circle(waits)
        coming = {document["job_id"] for document in documents}
        wanted = sorted({job_id for several in waits.values() for job_id in several} - coming)
        if wanted:
            rows = await scope.find(JOBS_BY_IDS, job_ids=wanted)
            missing = set(wanted) - {row["job_id"] for row in rows}
            if missing:
                raise errors.NotFound("job", min(missing))


def _refer_to_one_another(jobs: Sequence[tuple[NewJob, JobKind]]) -> bool:
    """Whether some of these jobs wait for others of them.

    They are stored together: a job must not be seen before those it waits for.
    """
    coming = {job.job_id for job, _ in jobs if job.job_id is not None}
    return any(not coming.isdisjoint(job.depends_on) for job, _ in jobs)


def _check_circle(waits: dict[str, list[str]]) -> None:
    """Refuse new jobs that wait for one another in a circle."""
    left = {
        job_id: {other for other in several if other in waits} for job_id, several in waits.items()
    }
    while free := [job_id for job_id, others in left.items() if not others]:
        for job_id in free:
            del left[job_id]
        for others in left.values():
            others.difference_update(free)
    if left:
        raise errors.InvalidInput(
            "depends_on", f"job {min(left)} waits, through others, for itself", "Break the circle"
        )


def _is_of_lane(refused: Refused) -> bool:
    """Whether another job has taken the number, or the turn, in the meantime."""
    return "queue_metadata.lane" in refused.fields


def _refusal(error: errors.MessageServiceError, document: Row) -> errors.MessageServiceError:
    if isinstance(error, errors.AlreadyExists):
        return errors.AlreadyExists(f"job {document['job_id']!r} exists already")
    return error
