"""Message Service: the message store for LLM and character-chat applications on MongoDB."""

from message_service.database.transaction import Transaction
from message_service.documents.conversation import Conversation
from message_service.documents.message import Message
from message_service.messages.branches import BranchInfo
from message_service.messages.context import ContextWindow
from message_service.messages.new_message import NewMessage
from message_service.messages.numbering import Completeness
from message_service.messages.outcomes import Appended
from message_service.messages.rows import StoredMessage
from message_service.paging.page import Page
from message_service.search.results import Hit, SearchPage
from message_service.service import MessageService, Tenant
from message_service.settings import Settings
from message_service.stopping import StopSignal

__all__ = [
    "Appended",
    "BranchInfo",
    "Completeness",
    "ContextWindow",
    "Conversation",
    "Hit",
    "Message",
    "MessageService",
    "NewMessage",
    "Page",
    "SearchPage",
    "Settings",
    "StopSignal",
    "StoredMessage",
    "Tenant",
    "Transaction",
]
