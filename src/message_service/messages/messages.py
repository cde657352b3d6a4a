"""One tenant's messages: the calls callers make."""

from __future__ import annotations

from message_service.database.scope import Scope
from message_service.messages.appends import Appends
from message_service.messages.branches import Branches
from message_service.messages.changes import MessageChanges
from message_service.messages.context import ContextReader
from message_service.messages.history import HistoryReader
from message_service.messages.last_message import LastMessage
from message_service.messages.numbering import Numbering
from message_service.messages.reports import MessageReports
from message_service.messages.runtime import Runtime
from message_service.messages.usage_changes import UsageChanges


class Messages:
    """Append, read and change messages.

    Args:
        runtime: What the process shares.
        scope: The tenant's scope.

    Attributes:
        append: Append one message; see `Appends.append`.
        append_many: Append several in order; see `Appends.append_many`.
        history: Pages of a conversation; see `HistoryReader.page`.
        around: The messages around one; see `HistoryReader.around`.
        by_user: A user's messages, newest first; see `HistoryReader.by_user`.
        get: One whole message; see `HistoryReader.get`.
        context: The prompt window of a branch; see `ContextReader.window`.
        edit: Replace a text, keeping the old one; see `MessageChanges.edit`.
        versions: What a message said before; see `MessageChanges.versions`.
        delete: Delete a message; see `MessageChanges.delete`.
        undelete: Restore it; see `MessageChanges.undelete`.
        hide: Take a message out of history and prompts; see `MessageChanges.hide`.
        unhide: Show it again; see `MessageChanges.unhide`.
        feedback: Record what the reader thought; see `MessageChanges.feedback`.
        record_usage: Record what a message used; see `UsageChanges.record`.
        pin: Pin or unpin a message; see `MessageChanges.pin`.
        branch: Start a branch after a message; see `Branches.create`.
        branches: A conversation's branches; see `Branches.list`.
        check: Prove that a conversation is complete; see `Numbering.check`.
        close_holes: Close holes with tombstones; see `Numbering.close_holes`.
        with_same_text: The design's duplicate detection; see `MessageReports.with_same_text`.
        tokens_by_user: The design's token report; see `MessageReports.tokens_by_user`.
        daily_stats: The design's daily figures; see `MessageReports.daily_stats`.
    """

    def __init__(self, runtime: Runtime, scope: Scope) -> None:
        appends = Appends(runtime, scope)
        self.append = appends.append
        self.append_many = appends.append_many
        history = HistoryReader(runtime, scope)
        self.history = history.page
        self.around = history.around
        self.by_user = history.by_user
        self.get = history.get
        self.context = ContextReader(scope, runtime.known).window
        last = LastMessage(runtime, scope, history)
        changes = MessageChanges(scope, runtime.clock, last)
        self.edit = changes.edit
        self.versions = changes.versions
        self.delete = changes.delete
        self.undelete = changes.undelete
        self.hide = changes.hide
        self.unhide = changes.unhide
        self.feedback = changes.feedback
        self.pin = changes.pin
        self.record_usage = UsageChanges(scope, runtime.price_book, runtime.clock).record
        branches = Branches(runtime, scope)
        self.branch = branches.create
        self.branches = branches.list
        numbering = Numbering(scope, runtime.clock, runtime.ids)
        self.check = numbering.check
        self.close_holes = numbering.close_holes
        reports = MessageReports(scope)
        self.with_same_text = reports.with_same_text
        self.tokens_by_user = reports.tokens_by_user
        self.daily_stats = reports.daily_stats
