"""Branches: a branch points to the message where it leaves its parent; nothing is copied."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from message_service import errors
from message_service.arguments import check_text_argument
from message_service.catalogue.queries.conversations import (
    BRANCHES_OF_CONVERSATION,
    CONVERSATION_BY_ID,
)
from message_service.catalogue.queries.messages import MESSAGE_BY_ID
from message_service.database.scope import Scope
from message_service.documents.conversation import MAIN_BRANCH, Branch
from message_service.documents.fields import MAX_NAME
from message_service.ids import IdKind, check_branch, check_id
from message_service.messages.runtime import Runtime


@dataclass(frozen=True, slots=True)
class BranchInfo:
    """One branch of a conversation.

    Attributes:
        name: Its name; `main` always exists.
        parent: The branch it leaves; None for main.
        fork_sequence: The last number it shares with its parent; 0 when it shares nothing.
        fork_message_id: That message.
        title: Title for people.
        created_at: When the branch was created; None for main.
        active: Whether the conversation shows it.
    """

    name: str
    parent: str | None
    fork_sequence: int
    fork_message_id: str | None
    title: str | None
    created_at: datetime | None
    active: bool


class Branches:
    """One tenant's branches.

    Args:
        runtime: What the process shares.
        scope: The tenant's scope.
    """

    def __init__(self, runtime: Runtime, scope: Scope) -> None:
        self._scope = scope
        self._known = runtime.known
        self._clock = runtime.clock
        self._ids = runtime.ids

    async def create(
        self,
        conversation_id: str,
        from_message_id: str | None,
        *,
        name: str | None = None,
        title: str | None = None,
    ) -> BranchInfo:
        """Start a branch after a message.

        To regenerate an answer or edit a question, branch from the message before it.

        Args:
            conversation_id: The conversation.
            from_message_id: The last shared message; None shares nothing.
            name: The branch's name; generated when not given.
            title: Title for people.

        Raises:
            NotFound: No such conversation or message in this tenant.
            AlreadyExists: The conversation has a branch of that name that forks elsewhere
                (repeating the same call is not an error).
        """
        check_id(IdKind.CONVERSATION, "conversation_id", conversation_id)
        chosen = (
            f"alt-{self._ids.new(IdKind.MESSAGE)[-26:]}"
            if name is None
            else check_branch("name", name)
        )
        if title is not None:
            check_text_argument("title", title, most=MAX_NAME, least=0)
        if chosen == MAIN_BRANCH:
            raise errors.AlreadyExists("every conversation has a branch 'main' already")
        state = await self._known.get(self._scope.tenant_id, conversation_id)
        parent, fork = MAIN_BRANCH, 0
        if from_message_id is not None:
            check_id(IdKind.MESSAGE, "from_message_id", from_message_id)
            row = await self._scope.find_one(
                MESSAGE_BY_ID,
                conversation_id=conversation_id,
                message_id=from_message_id,
            )
            if row is None:
                raise errors.NotFound("message", from_message_id)
            parent = row["relationships"]["conversation_branch"]
            fork = row["sequence_number"]
        branch = Branch(
            tenant_id=self._scope.tenant_id,
            conversation_id=conversation_id,
            branch=chosen,
            parent_branch=parent,
            fork_sequence=fork,
            fork_message_id=from_message_id,
            title=title,
            created_at=self._clock.now(),
        )
        await self._store(branch)
        state.branches = {**(state.branches or {}), chosen: (parent, fork)}
        await self._known.know_branch(state, parent)
        return _info(branch, state.active_branch)

    async def list(self, conversation_id: str) -> list[BranchInfo]:
        """Return a conversation's branches, main first, then by name.

        Raises:
            NotFound: No such conversation in this tenant.
        """
        check_id(IdKind.CONVERSATION, "conversation_id", conversation_id)
        conversation = await self._scope.find_one(
            CONVERSATION_BY_ID, conversation_id=conversation_id
        )
        if conversation is None:
            raise errors.NotFound("conversation", conversation_id)
        active: str = conversation["active_branch"]
        rows = await self._scope.find(BRANCHES_OF_CONVERSATION, conversation_id=conversation_id)
        main = BranchInfo(MAIN_BRANCH, None, 0, None, None, None, active == MAIN_BRANCH)
        return [main, *(_info(Branch.model_validate(row), active) for row in rows)]

    async def _store(self, branch: Branch) -> None:
        document = branch.to_bson()
        if await self._scope.insert_one(
            "conversation_branches", document, comment="conversation_branches.create"
        ):
            return
        rows = await self._scope.find(
            BRANCHES_OF_CONVERSATION, conversation_id=branch.conversation_id
        )
        for row in rows:
            if (
                row["branch"] == branch.branch
                and row["parent_branch"] == branch.parent_branch
                and row["fork_sequence"] == branch.fork_sequence
            ):
                return
        raise errors.AlreadyExists(
            f"the conversation has a branch {branch.branch!r} that forks elsewhere"
        )


def _info(branch: Branch, active: str) -> BranchInfo:
    return BranchInfo(
        name=branch.branch,
        parent=branch.parent_branch,
        fork_sequence=branch.fork_sequence,
        fork_message_id=branch.fork_message_id,
        title=branch.title,
        created_at=branch.created_at,
        active=branch.branch == active,
    )
