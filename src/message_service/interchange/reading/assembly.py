"""Assembles a conversation from a list of messages, with alternative endings as branches."""

from __future__ import annotations

from message_service.interchange.reading import trees
from message_service.interchange.reading.drafts import CallLinks, Draft
from message_service.interchange.reading.records import (
    ImportedConversation,
    ImportedMessage,
    RoleName,
    SkippedItem,
)

_ROLES: dict[str, RoleName] = {
    **dict.fromkeys(("user", "human", "prompter", "client", "customer"), "user"),
    **dict.fromkeys(("assistant", "ai", "gpt", "chatgpt", "bing", "bard", "bot"), "assistant"),
    **dict.fromkeys(("model", "claude", "gemini", "function_call"), "assistant"),
    **dict.fromkeys(("system", "developer"), "system"),
    **dict.fromkeys(("tool", "function", "observation", "ipython"), "tool"),
    **dict.fromkeys(("function_response", "tool_response", "tool_result"), "tool"),
}


def role_of(name: object) -> RoleName:
    """Return our role for an author's label, in any case; an unknown label gives `system`."""
    return _ROLES.get(name.strip().lower(), "system") if isinstance(name, str) else "system"


def knows_role(name: str) -> bool:
    """Whether a label of an author stands for a role."""
    return name.strip().lower() in _ROLES


class Assembly:
    """A conversation while its messages are added.

    Attributes:
        conversation: The conversation; complete after `close`.
        links: Its tool calls.
        tip: Id of the last message of the current line; None before the first one.
        records: How many records of the source it has so far.
    """

    def __init__(self, conversation: ImportedConversation) -> None:
        self.conversation = conversation
        self.links = CallLinks()
        self.tip: str | None = None
        self._parents: dict[str, str | None] = {}
        self._taken: set[str] = set()
        self.records = 0
        self._main_tip: str | None = None
        self._forked = False
        self._line_name: str | None = None

    def draft(self) -> Draft:
        """Return an empty message."""
        return Draft(self.links)

    def own_id(self, given: object, position: str) -> str:
        """Return a message's id: the source's own, or its position; a repeated id gets both."""
        own = given if isinstance(given, str) and given else position
        if own in self._taken:
            own = trees.unique_name(f"{own}#{position}", self._taken)
        self._taken.add(own)
        return own

    def add(self, message: ImportedMessage, draft: Draft) -> None:
        """Add a message with the content of its draft; an empty one is skipped."""
        self.records += 1
        own = message.external_id
        message.text, message.parts = draft.content()
        skipped = self.conversation.skipped
        skipped.extend(SkippedItem(own, reason) for reason in draft.lost)
        if not message.text and not message.parts:
            skipped.append(SkippedItem(own, "empty message"))
            return
        if message.role == "system":
            message.message_type = "system"
        message.line_name, self._line_name = self._line_name, None
        self._parents[own] = self.tip
        self.tip = own
        self.conversation.messages.append(message)

    def skip(self, own: str, reason: str) -> None:
        """List a record that is not stored."""
        self.records += 1
        self.conversation.skipped.append(SkippedItem(own, reason))

    def fork(self, at: str | None, line_name: str | None) -> None:
        """Begin an alternative after the message `at`; the first line stays `main`."""
        if not self._forked:
            self._main_tip = self.tip
        self._forked = True
        self.tip = at
        self._line_name = line_name

    def close(self) -> ImportedConversation:
        """Return the conversation in storage order."""
        done = self.conversation
        done.records = self.records
        if self._forked:
            for message in done.messages:
                message.parent = self._parents[message.external_id]
            flat = trees.flatten(done.messages, shown=self._main_tip, name_branch=_name)
            done.messages, done.branches = flat.messages, flat.branches
        return done


def _name(start: ImportedMessage, number: int) -> str:
    return start.line_name or f"alt-{number}"
