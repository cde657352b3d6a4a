"""The job types of the service itself.

An application that registers a handler of its own for one of them replaces it.
"""

from __future__ import annotations

from typing import Any

from message_service import errors
from message_service.analytics.rollups import Rollups
from message_service.catalogue.queries.messages import MESSAGE_BY_ID
from message_service.database.store import Store
from message_service.database.transaction import Transaction
from message_service.documents.job import JobType
from message_service.generation.quality.evaluating import Evaluating
from message_service.generation.quality.judging import Judging
from message_service.generation.replying import Replying
from message_service.generation.summarising import Summarising
from message_service.queue import message_steps
from message_service.queue.job_updates import Pipeline
from message_service.queue.registry import JobRegistry
from message_service.queue.running_job import GiveUp, RunningJob, Snooze
from message_service.search import freshness
from message_service.usage.usage_counters import UsageCounters

_INDEXED_WITHIN = 1.0
"""Seconds a job waits for the indexer in its place; an indexer at work needs less."""

_INDEXED_LATER = 5.0
"""Seconds to the next look, when the indexer is behind or none runs."""


def own_job_types(
    store: Store,
    usage_counters: UsageCounters,
    rollups: Rollups,
    replying: Replying,
    evaluating: Evaluating,
    judging: Judging,
    summarising: Summarising,
) -> JobRegistry:
    """Return the service's own job types.

    Args:
        store: The database.
        usage_counters: The counters of budgets.
        rollups: The summaries.
        replying: Makes replies.
        evaluating: Scores replies by their text.
        judging: Has them graded by a model.
        summarising: Summarises what falls out of prompts' windows.
    """
    registry = JobRegistry()

    @registry.handler(JobType.MESSAGE_PROCESSING.value, lane_by_conversation=True, max_attempts=5)
    async def message_processing(job: RunningJob, _tenant: object) -> None:
        """See a message enriched and searchable, and write its steps."""
        if job.message_id is None or job.conversation_id is None:
            raise GiveUp("the job has no message_id and conversation_id")
        scope = store.scope(job.tenant_id)
        where: dict[str, Any] = {
            "conversation_id": job.conversation_id,
            "message_id": job.message_id,
        }
        message = await scope.find_one(MESSAGE_BY_ID, **where)
        if message is None:
            raise GiveUp(f"message {job.message_id} does not exist")

        async def write(transaction: Transaction, update: Pipeline) -> None:
            if not await scope.within(transaction).update_one(MESSAGE_BY_ID, update, **where):
                raise GiveUp(f"message {job.message_id} does not exist any longer")

        await job.transaction(lambda within: write(within, message_steps.begun(job)))
        number: int = message["sequence_number"]
        try:
            await freshness.wait_for(scope, job.conversation_id, number, _INDEXED_WITHIN)
        except errors.IndexBehind as behind:
            raise Snooze(_INDEXED_LATER, behind.message) from None
        except errors.NotFound:
            raise GiveUp(f"conversation {job.conversation_id} does not exist") from None
        await job.commit(
            lambda within: write(within, message_steps.completed(job)),
            {"sequence_number": number, "revision": message["revision"]},
        )

    @registry.handler(JobType.ANALYTICS_COMPUTATION.value, max_attempts=5)
    async def analytics_computation(_job: RunningJob, _tenant: object) -> dict[str, Any]:
        """Bring the counters of budgets and the summaries up to date."""
        counted = await usage_counters.drain()
        return {"counted": counted, "summarised": await rollups.drain()}

    registry.handler(JobType.LLM_GENERATION.value, max_attempts=5)(replying.__call__)
    for job_type, handler in (
        (JobType.QUALITY_EVALUATION, evaluating.__call__),
        (JobType.QUALITY_JUDGEMENT, judging.__call__),
        (JobType.CONTEXT_SUMMARY, summarising.__call__),
    ):
        registry.handler(job_type.value, max_attempts=5, priority="low")(handler)
    return registry
