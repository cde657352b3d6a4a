"""The dictionaries take a second to read: never on the event loop's thread, and once."""

import asyncio
import threading
from collections.abc import Awaitable, Callable

import pytest

from message_service import MessageService
from message_service.enrichment import lemmas, stems

USER = "user_000000000001"

WAYS_IN: dict[str, Callable[[MessageService], Awaitable[object]]] = {
    "search": lambda service: service.search.find("duermo", user_id=USER),
    "search of all tenants": lambda service: service.search_index.find_everywhere(
        "duermo", admin=True
    ),
    "indexing": lambda service: service.search_index.drain(),
}


@pytest.fixture
def readers(monkeypatch: pytest.MonkeyPatch) -> list[threading.Thread]:
    """The threads that read the dictionaries, which nobody has read yet."""
    found: list[threading.Thread] = []
    fresh = lemmas._Dictionaries()
    read_from_disk = fresh._from_disk

    def noted() -> object:
        found.append(threading.current_thread())
        return read_from_disk()

    monkeypatch.setattr(fresh, "_from_disk", noted)
    monkeypatch.setattr(lemmas, "_DICTIONARIES", fresh)
    lemmas.parts.cache_clear()
    stems.base_form.cache_clear()
    stems.forms.cache_clear()
    return found


@pytest.mark.parametrize("way", WAYS_IN)
async def test_they_are_read_once_and_off_the_event_loop(
    service: MessageService, readers: list[threading.Thread], way: str
) -> None:
    made = await service.conversations.create(USER)
    await service.messages.append(made.conversation_id, "user", "No duermo bien")
    assert readers == []
    await asyncio.gather(*(WAYS_IN[way](service) for _ in range(3)))
    assert len(readers) == 1
    assert readers[0] is not threading.main_thread()
