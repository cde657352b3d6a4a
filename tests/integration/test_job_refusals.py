"""Jobs that are refused, unknown, of other programs, or not readable."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from message_service import (
    Enqueued,
    JobRegistry,
    MessageService,
    errors,
)
from message_service.database.client import Database
from support.job_handlers import Handlers, at_work, ended, later
from support.waiting import until

USER = "user_000000000001"
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


async def test_an_unknown_type_is_refused_and_from_elsewhere_kept_with_a_reason(
    queue: MessageService, service: MessageService, mongo_uri: str
) -> None:
    with pytest.raises(errors.InvalidInput, match="job_type: 'other' has no handler"):
        await queue.jobs.enqueue("other")
    declared = JobRegistry()
    declared.declare("other", queue="note")
    async with (
        await MessageService.connect(
            mongo_uri, settings=queue.settings, registry=declared
        ) as elsewhere,
        at_work(queue),
    ):
        kept = await elsewhere.jobs.enqueue("other")

        async def parked() -> bool:
            return (await queue.jobs.get(kept.job_id)).execution.reason == "no_handler"

        await until("the worker has seen it", parked)
        job = await queue.jobs.get(kept.job_id)
        assert (job.status, job.execution.attempts) == ("pending", 0)
        assert "no handler for 'other'" in (job.execution.error_message or "")
        # What a running worker has a handler for can be enqueued anywhere.
        done = await service.jobs.enqueue("note", {"n": 1})
        await ended(service, done)


async def test_jobs_of_other_programs_are_adopted_and_bad_ones_hold_up_nobody(
    queue: MessageService, handlers: Handlers, database: Database
) -> None:
    """A document as the source design shows it, with `attention_at` in the past."""
    collection = database["processing_queue"]
    now = datetime.now(UTC)
    design: dict[str, Any] = {
        "tenant_id": "default",
        "job_type": "note",
        "priority": "high",
        "status": "pending",
        "execution": {"attempts": 1, "max_attempts": 3},
        "created_at": now,
        "updated_at": now,
        "attention_at": LONG_AGO,
    }
    name = {"queue_name": "note", "scheduled_for": now}
    several = [
        {**design, "job_config": {"n": 1}, "queue_metadata": {**name, "lane": "a"}},
        {**design, "job_config": {"n": 2}, "queue_metadata": {**name, "lane": "a"}},
        {
            **design,
            "job_config": {"n": 3},
            "queue_metadata": {**name, "depends_on": ["job_000000000000"]},
        },
        {**design, "job_type": "unheard", "queue_metadata": name},
        {**design, "queue_metadata": {**name, "depends_on": ["job_000000000099"]}},
        {**design, "queue_metadata": {**name, "depends_on": ["job_000000000004"]}},
    ]
    for number, job in enumerate(several):
        await collection.insert_one({**job, "job_id": f"job_{number:012}"})
    # What no validator lets through, but a restore may have brought.
    for number, broken in ((98, {"status": "processing"}), (97, {"claim_order": LONG_AGO})):
        bad = {**design, "priority_rank": 1, "execution": 5, "queue_metadata": name, **broken}
        await collection.database.command(
            {
                "insert": "processing_queue",
                "documents": [{**bad, "job_id": f"job_{number:012}"}],
                "bypassDocumentValidation": True,
            }
        )
    async with at_work(queue):
        for number in range(3):
            job = await queue.jobs.wait(f"job_{number:012}", 20)
            assert (job.status, job.execution.attempts) == ("completed", 1)
        missing = await queue.jobs.wait("job_000000000004", 20)
        assert (missing.status, missing.execution.reason) == ("failed", "dependency_missing")
        after = await queue.jobs.wait("job_000000000005", 20)
        assert (after.status, after.execution.reason) == ("failed", "dependency_failed")

        async def parked() -> bool:
            return (await queue.jobs.get("job_000000000003")).execution.reason == "no_handler"

        await until("the unknown type is parked", parked)
        done = await queue.jobs.enqueue("note", {"n": 4})
        await ended(queue, done)
    assert len(await queue.jobs.list()) == 9
    [because] = (await queue.jobs.explain("job_000000000097")).because
    assert because.text.startswith("the queue cannot read it: execution: ")
    assert handlers.ran.index(1) < handlers.ran.index(2)


async def test_a_circle_from_elsewhere_fails_with_its_cause(
    queue: MessageService, database: Database
) -> None:
    first = await queue.jobs.enqueue("note", scheduled_for=later(60))
    second = await queue.jobs.enqueue("note", depends_on=[first.job_id])
    await database["processing_queue"].update_one(
        {"job_id": first.job_id},
        {"$set": {"blocked_by": [second.job_id], "attention_at": LONG_AGO}},
    )
    async with at_work(queue):
        [one, two] = await ended(queue, first, second)
    assert {one.execution.reason, two.execution.reason} == {"dependency_cycle", "dependency_failed"}


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"job_type": "No"}, "job_type"),
        ({"job_type": 5}, "job_type"),
        ({"priority": "top"}, "priority"),
        ({"max_attempts": 0}, "max_attempts"),
        ({"max_attempts": True}, "max_attempts"),
        ({"scheduled_for": LONG_AGO}, "scheduled_for"),
        ({"expires_at": LONG_AGO}, "expires_at"),
        ({"scheduled_for": later(9_000), "expires_at": later(8_000)}, "expires_at"),
        ({"config": {"$where": 1}}, "config.'$where'"),
        ({"config": {"x": "y" * 1_100_000}}, "config"),
        ({"config": {"timeout_seconds": -1}}, "config.timeout_seconds"),
        ({"message_id": "msg_000000000001"}, "conversation_id"),
        ({"lane": ""}, "lane"),
        ({"dedupe_key": "x" * 200}, "dedupe_key"),
        ({"job_id": "job_000000000001", "depends_on": ["job_000000000001"]}, "depends_on"),
        ({"depends_on": ["job_000000000001"], "on_duplicate": "keep_latest"}, "depends_on"),
        ({"unheard": 1}, "unheard"),
    ],
)
async def test_bad_jobs_are_refused_by_field(
    queue: MessageService, database: Database, fields: dict[str, Any], field: str
) -> None:
    with pytest.raises(errors.InvalidInput) as caught:
        await queue.jobs.enqueue_many([{"job_type": "note", **fields}])
    assert caught.value.field == field
    with pytest.raises(errors.InvalidInput) as caught:
        await queue.jobs.enqueue_many([{"job_type": "note"}, {"job_type": "note", **fields}])
    assert caught.value.field == f"jobs.1.{field}"
    assert await database.get_collection("processing_queue").count_documents({}) == 0


async def test_dependencies_must_exist_and_must_not_form_a_circle(
    queue: MessageService, database: Database
) -> None:
    with pytest.raises(errors.NotFound):
        await queue.jobs.enqueue("note", depends_on=["job_000000000001"])
    circle = [
        {"job_type": "note", "job_id": f"job_{n:012}", "depends_on": [f"job_{(n + 1) % 3:012}"]}
        for n in range(3)
    ]
    with pytest.raises(errors.InvalidInput, match="depends_on"):
        await queue.jobs.enqueue_many(circle)
    assert await database.get_collection("processing_queue").count_documents({}) == 0


async def test_a_taken_id_is_refused_and_the_others_are_stored(queue: MessageService) -> None:
    job = {"job_type": "note", "job_id": "job_000000000001"}
    [first] = await queue.jobs.enqueue_many([job])
    assert isinstance(first, Enqueued)
    [again, other] = await queue.jobs.enqueue_many([job, {"job_type": "note"}])
    assert isinstance(again, errors.AlreadyExists)
    assert isinstance(other, Enqueued)
