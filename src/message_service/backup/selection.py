"""A part of a database: a collection, a conversation, or all conversations of a user."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from message_service import errors
from message_service.arguments import check_text_argument
from message_service.catalogue.declared import CATALOGUE
from message_service.database.raw_documents import fields_of
from message_service.documents.row import Row
from message_service.ids import IdKind, check_id, check_tenant

CONVERSATIONS = "conversations"

OF_CONVERSATIONS = frozenset(
    collection.name
    for collection in CATALOGUE.collections
    if "conversation_id" in collection.document.model_fields
)
"""The collections whose documents belong to a conversation."""

_LONGEST = 300
_FIX = "Give conversation:ID, user:ID or collection:NAME"


@dataclass(frozen=True, slots=True)
class Wanted:
    """One thing that is wanted.

    Attributes:
        kind: `collection`, `conversation` or `user`.
        name: Its name or id.
    """

    kind: str
    name: str


class Selection:
    """What of a database is restored.

    Conversations of a user are learned as their documents come by; they must come before what
    belongs to them.

    Args:
        wanted: What is wanted; empty for all.
        tenant_id: The tenant of conversations and users.
    """

    def __init__(self, wanted: Sequence[Wanted] = (), tenant_id: str = "") -> None:
        self._tenant_id = tenant_id
        self._collections = {each.name for each in wanted if each.kind == "collection"}
        self._users = {each.name for each in wanted if each.kind == "user"}
        self._conversations = {each.name for each in wanted if each.kind == "conversation"}
        self.name = ", ".join([*(f"{each.kind}:{each.name}" for each in wanted), tenant_id])
        self.whole = not wanted
        self.learns = bool(self._users)

    @classmethod
    def parse(cls, texts: Sequence[str], tenant_id: str) -> Selection:
        """Return the selection of texts such as `conversation:conv_...`.

        Raises:
            InvalidInput: A text is not such.
        """
        wanted: list[Wanted] = []
        for text in texts:
            check_text_argument("only", text, most=_LONGEST, what="part of a database")
            kind, colon, name = text.partition(":")
            if not colon or not name or kind not in {"collection", "conversation", "user"}:
                raise errors.InvalidInput("only", f"{text!r} is not a part of a database", _FIX)
            if kind == "conversation":
                check_id(IdKind.CONVERSATION, "only", name)
            elif kind == "user":
                check_id(IdKind.USER, "only", name)
            wanted.append(Wanted(kind, name))
        check_tenant(tenant_id)
        return cls(wanted, tenant_id)

    @property
    def collections(self) -> frozenset[str]:
        """The collections that are wanted whole."""
        return frozenset(self._collections)

    def has(self, collection: str) -> bool:
        """Return whether anything of a collection is wanted."""
        return (
            self.whole
            or collection in self._collections
            or (collection in OF_CONVERSATIONS and bool(self._users or self._conversations))
        )

    def takes(self, collection: str, document: bytes | Row) -> bool:
        """Return whether a document is wanted; learn the conversations of users."""
        if self.whole or collection in self._collections:
            return True
        if collection not in OF_CONVERSATIONS:
            return False
        tenant_id, conversation_id, user_id = fields_of(
            document, ("tenant_id", "conversation_id", "user_id")
        )
        if tenant_id != self._tenant_id:
            return False
        if collection == CONVERSATIONS and user_id in self._users:
            self._conversations.add(str(conversation_id))
        return conversation_id in self._conversations
