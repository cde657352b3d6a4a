"""Job types: their handlers and defaults, each declared once."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from message_service import errors
from message_service.arguments import check_flag, check_number, check_whole_number
from message_service.documents.job import JOB_TYPE_PATTERN, QUEUE_PATTERN, Priority
from message_service.queue.new_job import MOST_ATTEMPTS

Handler = Callable[..., Any]
"""Called with the running job and its tenant; async, or a plain function, which runs in a thread.

What it returns, a dict or nothing, is the job's result.
"""

MOST_SECONDS = 31_536_000.0

_TYPE = re.compile(JOB_TYPE_PATTERN)
_QUEUE = re.compile(QUEUE_PATTERN)

H = TypeVar("H", bound=Handler)


@dataclass(frozen=True, slots=True)
class JobKind:
    """One job type.

    Attributes:
        job_type: Its name.
        queue: The queue of its jobs.
        priority: Their priority.
        max_attempts: How often one is tried.
        retry_delay_seconds: The delay before the second attempt.
        timeout_seconds: How long one attempt may take; None for as long as it likes.
        lane_by_conversation: Whether the jobs of one conversation run in order, one at a time.
        call: Its handler; None when the handler is in other processes.
    """

    job_type: str
    queue: str
    priority: Priority = Priority.NORMAL
    max_attempts: int = 3
    retry_delay_seconds: float = 1.0
    timeout_seconds: float | None = None
    lane_by_conversation: bool = False
    call: Handler | None = None

    @property
    def is_async(self) -> bool:
        """Whether the handler runs in the event loop."""
        return inspect.iscoroutinefunction(self.call) or inspect.iscoroutinefunction(
            getattr(self.call, "__call__", None)  # noqa: B004 - an object with an async __call__
        )


class JobRegistry:
    """The job types a process knows."""

    def __init__(self) -> None:
        self._kinds: dict[str, JobKind] = {}

    def handler(self, job_type: str, **options: Any) -> Callable[[H], H]:
        """Return a decorator that makes a function the handler of a job type.

        Args:
            job_type: Lower-case letters, digits and `_.-`.
            **options: As for `declare`.

        Raises:
            InvalidInput: The name or an option is wrong, or the type has a handler already.
        """
        kind = _kind(job_type, options)

        def register(call: H) -> H:
            if not callable(call) or isinstance(call, type):
                raise errors.InvalidInput("handler", "is not a function", "Decorate a function")
            known = self._kinds.get(job_type)
            if known is not None and known.call is not None and known.call is not call:
                raise errors.InvalidInput(
                    "job_type", f"{job_type!r} has a handler already", "Use another name"
                )
            self._kinds[job_type] = JobKind(**_fields(kind), call=call)
            return call

        return register

    def declare(self, job_type: str, **options: Any) -> None:
        """Declare a job type whose handler is in other processes, so that it can be enqueued.

        Args:
            job_type: Lower-case letters, digits and `_.-`.
            **options: Any of `queue` (by default named like the type), `priority`, `max_attempts`,
                `retry_delay_seconds`, `timeout_seconds` and `lane_by_conversation`, see `JobKind`.

        Raises:
            InvalidInput: The name or an option is wrong.
        """
        kind = _kind(job_type, options)
        known = self._kinds.get(job_type)
        if known is None or known.call is None:
            self._kinds[job_type] = kind

    def get(self, job_type: str) -> JobKind | None:
        """Return a job type; None when it is not known here."""
        return self._kinds.get(job_type)

    def with_handlers(self) -> dict[str, JobKind]:
        """Return the job types that have a handler here, by name."""
        return {name: kind for name, kind in self._kinds.items() if kind.call is not None}


jobs = JobRegistry()
"""The registry of the process: `@jobs.handler("my_job")`."""


def _kind(job_type: object, options: dict[str, Any]) -> JobKind:
    if not isinstance(job_type, str) or not _TYPE.fullmatch(job_type):
        raise errors.InvalidInput(
            "job_type",
            "is not a job type",
            "Use 1 to 64 lower-case letters, digits or '_.-', starting with a letter",
        )
    values: dict[str, Any] = {"queue": job_type, **options}
    unknown = values.keys() - _OPTIONS.keys()
    if unknown:
        raise errors.InvalidInput(
            sorted(unknown)[0], "is not an option", f"Use one of: {', '.join(_OPTIONS)}"
        )
    for name, value in values.items():
        values[name] = _OPTIONS[name](name, value)
    return JobKind(job_type, **values)


def _fields(kind: JobKind) -> dict[str, Any]:
    return {"job_type": kind.job_type} | {name: getattr(kind, name) for name in _OPTIONS}


def check_queue(field: str, value: object) -> str:
    """Return the name of a queue.

    Raises:
        InvalidInput: It is not one.
    """
    if not isinstance(value, str) or not _QUEUE.fullmatch(value):
        raise errors.InvalidInput(
            field,
            "is not the name of a queue",
            "Use 1 to 64 letters, digits or '_.:-', starting with a letter or digit",
        )
    return value


def _priority(field: str, value: object) -> Priority:
    if not isinstance(value, str) or value not in set(Priority):
        raise errors.InvalidInput(field, "is not a priority", f"Use one of: {', '.join(Priority)}")
    return Priority(value)


def _timeout(field: str, value: object) -> float | None:
    return None if value is None else check_number(field, value, 0.001, MOST_SECONDS)


_OPTIONS: dict[str, Callable[[str, Any], Any]] = {
    "queue": check_queue,
    "priority": _priority,
    "max_attempts": lambda field, value: check_whole_number(field, value, 1, MOST_ATTEMPTS),
    "retry_delay_seconds": lambda field, value: check_number(field, value, 0, 3_600),
    "timeout_seconds": _timeout,
    "lane_by_conversation": check_flag,
}
