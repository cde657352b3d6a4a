"""Every error the service raises, in one tree.

    MessageServiceError
    ├── InvalidInput            the caller's value is wrong: `field` names it, `fix` says what to do
    │   ├── InvalidId
    │   ├── InvalidCursor
    │   ├── InvalidQuery        a search that cannot be understood or is not allowed
    │   ├── TextTooLong
    │   └── InvalidImport
    ├── NotFound                not found in this tenant (never reveals whether another has it)
    ├── Conflict                the stored state forbids the change
    │   ├── IdempotencyConflict same client message id with different content
    │   ├── AlreadyExists
    │   ├── VersionConflict     changed by another writer since it was read
    │   ├── ConversationClosed
    │   └── LeaseLost           a job's handler writes after another worker has taken over
    ├── JobFailed               the job whose result was asked for did not complete
    ├── ContextBudgetTooSmall
    ├── ProviderFailed          a model's provider gave no usable reply: `reason` says why
    │   └── ProviderUnavailable it may give one when it is asked again
    ├── CatalogueError          the database does not match the declared catalogue
    │   ├── IllegalManifest
    │   ├── DriftFound
    │   ├── SchemaTooNew
    │   └── IndexDiffers        the search index differs from the messages
    ├── Unavailable             the database cannot be reached or cannot answer now; retryable
    │   ├── OutcomeUnknown      a write was sent and no answer came
    │   └── IndexBehind         the search index has not yet reached the requested message
    ├── Unsupported             a required feature is missing (version, replica set, platform)
    ├── PermissionDenied
    ├── StorageFull
    ├── DocumentRefused         the server's validator refused a document
    ├── AttachmentDamaged       the bytes of a stored file are missing or changed
    ├── ImportIncomplete        part of an import could not be read or stored
    ├── UsageDiffers            a provider's usage export and the messages do not match
    ├── SummariesDiffer         summaries do not say what the messages do
    ├── BackupDamaged           a backup's file is missing, changed, or cannot be read
    ├── NotRecoverable          no backup leads to this point; `nearest` says which ones can be had
    ├── LocalServerError        the local mongod could not be found, started or stopped
    └── Internal                an unexpected driver error

Each class carries the values an HTTP response or the command line needs, so that entry points only
format them: `code` (stable, snake case), `http_status`, `exit_code`, `retryable`.
"""

from __future__ import annotations

import traceback
from typing import Any, ClassVar


class MessageServiceError(Exception):
    """Base of every error raised by this package.

    Attributes:
        code: Stable machine-readable name.
        http_status: Status of an HTTP response.
        exit_code: Exit code of the command line.
        retryable: Whether the same call, unchanged, may succeed later.
        details: Safe facts about the failure (never secrets, never another tenant's data).
    """

    code: ClassVar[str] = "error"
    http_status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 1
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.details: dict[str, Any] = details


class InvalidInput(MessageServiceError):
    """A value given by the caller is not acceptable.

    Attributes:
        field: Dotted name of the offending field or parameter.
        fix: One sentence describing an acceptable value.
    """

    code = "invalid_input"
    http_status = 422
    exit_code = 2

    def __init__(self, field: str, problem: str, fix: str, **details: Any) -> None:
        super().__init__(f"{field}: {problem}. {fix}", field=field, fix=fix, **details)
        self.field = field
        self.problem = problem
        self.fix = fix


class InvalidId(InvalidInput):
    """An identifier does not match its grammar."""

    code = "invalid_id"


class InvalidCursor(InvalidInput):
    """A page cursor was altered, or belongs to another query or tenant."""

    code = "invalid_cursor"


class InvalidQuery(InvalidInput):
    """A search query cannot be understood, or could not be answered fast enough."""

    code = "invalid_query"


class TextTooLong(InvalidInput):
    """A message text exceeds the limit of code points or bytes."""

    code = "text_too_long"
    http_status = 413


class InvalidImport(InvalidInput):
    """An import file cannot be read in the format the caller named."""

    code = "invalid_import"


class NotFound(MessageServiceError):
    """The requested object does not exist in this tenant."""

    code = "not_found"
    http_status = 404
    exit_code = 3

    def __init__(self, kind: str, identifier: str) -> None:
        super().__init__(f"{kind} {identifier!r} not found", kind=kind, id=identifier)


class Conflict(MessageServiceError):
    """The stored state forbids the change."""

    code = "conflict"
    http_status = 409
    exit_code = 4


class IdempotencyConflict(Conflict):
    """The client message id was used before with different content."""

    code = "idempotency_conflict"


class AlreadyExists(Conflict):
    """An object with this identifier exists already."""

    code = "already_exists"


class VersionConflict(Conflict):
    """The stored revision is not the one the caller read."""

    code = "version_conflict"


class ConversationClosed(Conflict):
    """The conversation does not accept messages in its present state."""

    code = "conversation_closed"


class LeaseLost(Conflict):
    """A job is not this worker's any longer: it was cancelled, or another worker has it."""

    code = "lease_lost"

    def __init__(self, job_id: str) -> None:
        super().__init__(f"job {job_id!r} is not this worker's any longer", job_id=job_id)


class JobFailed(MessageServiceError):
    """The job whose result was asked for did not complete."""

    code = "job_failed"
    exit_code = 13


class ContextBudgetTooSmall(MessageServiceError):
    """The newest message (with the requested pins and summary) does not fit the token budget."""

    code = "context_budget_too_small"
    http_status = 422
    exit_code = 2


class ProviderFailed(MessageServiceError):
    """A model's provider gave no usable reply.

    Attributes:
        reason: One of `generation.failures.FailureKind`.
        retry_after: Seconds after which the provider wants to be asked again, if it said so.
    """

    code = "provider_failed"
    http_status = 502
    exit_code = 15

    def __init__(self, message: str, reason: str, **details: Any) -> None:
        super().__init__(message, reason=reason, **details)
        self.reason = reason
        self.retry_after: float | None = details.get("retry_after")


class ProviderUnavailable(ProviderFailed):
    """The provider may give a reply when it is asked again."""

    code = "provider_unavailable"
    http_status = 503
    retryable = True


class CatalogueError(MessageServiceError):
    """The database does not match the declared catalogue, or the catalogue is not valid."""

    code = "catalogue_error"
    exit_code = 5


class IllegalManifest(CatalogueError):
    """The declared catalogue could not exist on a sharded cluster."""

    code = "illegal_manifest"


class DriftFound(CatalogueError):
    """The live database differs from the declared catalogue."""

    code = "drift_found"


class SchemaTooNew(CatalogueError):
    """The database was written by a newer release than this one."""

    code = "schema_too_new"


class IndexDiffers(CatalogueError):
    """The search index differs from the messages and was not repaired."""

    code = "index_differs"


class Unavailable(MessageServiceError):
    """The database cannot be reached, has no primary, or did not answer in time."""

    code = "unavailable"
    http_status = 503
    exit_code = 6
    retryable = True


class OutcomeUnknown(Unavailable):
    """A write was sent, and its outcome could not be determined before the deadline.

    Repeating the call with the same message id or client message id is safe.
    """

    code = "outcome_unknown"


class IndexBehind(Unavailable):
    """The search index did not reach the requested message before the deadline."""

    code = "index_behind"


class Unsupported(MessageServiceError):
    """The server or machine lacks something the service needs."""

    code = "unsupported"
    http_status = 501
    exit_code = 7


class PermissionDenied(MessageServiceError):
    """The database user lacks the permission for this operation."""

    code = "permission_denied"
    http_status = 403
    exit_code = 8


class StorageFull(MessageServiceError):
    """The database or the disk has no room left."""

    code = "storage_full"
    http_status = 507
    exit_code = 9
    retryable = True


class DocumentRefused(MessageServiceError):
    """The server's validator refused a document that this release considers valid."""

    code = "document_refused"
    exit_code = 5


class AttachmentDamaged(MessageServiceError):
    """The bytes of a stored file are missing, or are not those that were stored."""

    code = "attachment_damaged"


class ImportIncomplete(MessageServiceError):
    """Part of an import could not be read or stored; the rest is stored."""

    code = "import_incomplete"
    exit_code = 11


class UsageDiffers(MessageServiceError):
    """A provider's usage export and the messages do not match."""

    code = "usage_differs"
    http_status = 409
    exit_code = 12


class SummariesDiffer(MessageServiceError):
    """Summaries do not say what the messages do."""

    code = "summaries_differ"
    http_status = 409
    exit_code = 14


class BackupDamaged(MessageServiceError):
    """A file of a backup is missing, was changed, or cannot be read; `file` names it."""

    code = "backup_damaged"
    exit_code = 16


class NotRecoverable(MessageServiceError):
    """No backup leads to the point that was asked for; `nearest` names points that can be had."""

    code = "not_recoverable"
    http_status = 409
    exit_code = 17


class LocalServerError(MessageServiceError):
    """The local mongod could not be found, started or stopped."""

    code = "local_server_error"
    exit_code = 10


class Internal(MessageServiceError):
    """An unexpected driver error; the original error is chained as the cause."""

    code = "internal"


def trace_of(error: BaseException) -> str:
    """Return an error's type and where it was raised, for a log.

    The error's message is left out, because an unforeseen error may quote a user's text.
    """
    frames = "".join(traceback.format_tb(error.__traceback__))
    return f"{type(error).__name__}\n{frames}".rstrip()
