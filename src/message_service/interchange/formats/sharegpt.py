"""Reads datasets of chats: ShareGPT's turns, Alpaca's instructions, and pairs of preferences.

A file is a JSON array, JSON Lines, or a single object; each record is a conversation. Of a pair,
the chosen answer is on `main`, and the rejected one on the branch `rejected`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

from message_service.interchange.formats.dataset_turns import (
    Media,
    is_turn,
    label_of,
    listed,
    message_of,
    same,
    text_of,
)
from message_service.interchange.reading import sources
from message_service.interchange.reading.assembly import Assembly
from message_service.interchange.reading.drafts import as_json
from message_service.interchange.reading.format import Format
from message_service.interchange.reading.glimpse import Glimpse
from message_service.interchange.reading.json_reading import as_list, as_object, as_text
from message_service.interchange.reading.json_records import records_of, stem
from message_service.interchange.reading.recognition import recognised
from message_service.interchange.reading.records import (
    ImportedConversation,
    ImportedFeedback,
    present,
    unreadable,
)

_FILES = ("*.jsonl", "*.json")
_TURNS = ("conversations", "conversation", "dialog", "dialogue")
_SHARED_TURNS = ("items", "messages", "chat")
"""Names under which other formats have messages too; here they need `from` and `value`."""

_PROMPTS = ("prompt", "question", "query")


def read(paths: Sequence[Path]) -> Iterator[ImportedConversation]:
    """Yield the conversations of files; one conversation is in memory at a time.

    Args:
        paths: Files, plain or gzip, or folders with such files.

    Raises:
        InvalidImport: A file is missing, damaged, or of another format.
    """
    for path in sources.expand(paths, *_FILES):
        refusal = sources.broken(
            path,
            "is not a dataset of chats: its first records have neither turns with 'from' and "
            "'value', nor 'instruction', nor 'chosen' and 'rejected'",
            "Name the file's own format",
        )
        yield from recognised(_conversations(path), refusal)


def _conversations(path: Path) -> Iterator[ImportedConversation]:
    taken: set[str] = set()
    for number, item in records_of(path):
        position = f"{stem(path)}#{number}"
        record = as_object(item) or {}
        own = _own_id(record) or position
        if own in taken:  # datasets that were put together from others repeat ids
            own = f"{own}@{position}"
        taken.add(own)
        if _is_record(record):
            yield _conversation(record, own)
        else:
            yield unreadable(own, "record without turns")


def _own_id(record: dict[str, Any]) -> str | None:
    for name in ("id", "conversation_id"):
        given = record.get(name)
        if isinstance(given, int) and not isinstance(given, bool):
            return str(given)
        if as_text(given) is not None:
            return as_text(given)
    return None


def _is_record(record: dict[str, Any]) -> bool:
    if "mapping" in record:
        return False
    if as_text(record.get("instruction")) is not None:
        return any(name in record for name in ("output", "response", "chosen"))
    if _is_answer(record.get("chosen")) and _is_answer(record.get("rejected")):
        return True
    return record.get("conversations") == [] or _turns(record) is not None


def _is_answer(value: object) -> bool:
    return as_text(value) is not None or is_turn(value) or any(map(is_turn, as_list(value)))


def _turns(record: dict[str, Any]) -> list[Any] | None:
    for name in _TURNS:
        turns = as_list(record.get(name))
        if any(map(is_turn, turns)):
            return turns
    with_pair = "chosen" in record and "rejected" in record
    for name in _SHARED_TURNS:
        turns = as_list(record.get(name))
        if any(is_turn(turn) and (with_pair or "from" in turn) for turn in turns):
            return turns
    return None


def _conversation(record: dict[str, Any], own: str) -> ImportedConversation:
    tools = record.get("tools")
    conversation = ImportedConversation(
        external_id=own,
        title=as_text(record.get("title")),
        custom=present(
            {
                "tools": tools if isinstance(tools, str) else as_json(tools),
                "model": as_text(record.get("model")),
            }
        ),
    )
    filling = _Filling(Assembly(conversation), record)
    filling.fill()
    return filling.assembly.close()


class _Filling:
    """Adds the messages of one record to its conversation."""

    def __init__(self, assembly: Assembly, record: dict[str, Any]) -> None:
        self.assembly = assembly
        self._record = record
        self._model = as_text(record.get("model"))
        self._media = Media(record)

    def fill(self) -> None:
        """Add all messages: the prompt, the answer, and the rejected answer as a branch."""
        record = self._record
        turns = _turns(record) or []
        self._add_system(turns)
        if as_text(record.get("instruction")) is not None:
            self._add_instruction()
        for number, turn in enumerate(turns, start=1):
            self._add_turn(turn, str(number))
        if _is_answer(record.get("chosen")) and _is_answer(record.get("rejected")):
            self._add_pair(record["chosen"], record["rejected"])
        self._add_verdict()
        self.assembly.conversation.custom |= self._media.left()
        if not turns and record.get("conversations") == []:
            self.assembly.skip("1", "conversation without messages")

    def _add_system(self, turns: list[Any]) -> None:
        text = as_text(self._record.get("system")) or as_text(self._record.get("system_prompt"))
        first = as_object(turns[0]) if turns else None
        # Some files have the same text both beside the turns and as the first turn.
        if text is not None and (first is None or text not in first.values()):
            self._add("system", "system", text)

    def _add_instruction(self) -> None:
        record = self._record
        for number, pair in enumerate(as_list(record.get("history")), start=1):
            for label, text in zip(("user", "assistant"), as_list(pair), strict=False):
                self._add(f"history-{number}-{label}", label, text)
        prompt = (as_text(record.get("instruction")), as_text(record.get("input")))
        self._add("instruction", "user", "\n".join(filter(None, prompt)))
        output = record.get("output", record.get("response"))
        if not isinstance(output, list):
            if output is not None:
                self._add("output", "assistant", output)
            return
        before = self.assembly.tip
        for number, text in enumerate(as_list(cast("object", output)), start=1):
            if number > 1:  # an old form of a pair: the chosen answer, and the rejected one
                self.assembly.fork(before, "rejected")
            self._add("output" if number == 1 else f"output-{number}", "assistant", text)

    def _add_pair(self, chosen: object, rejected: object) -> None:
        prompt = next((self._record[n] for n in _PROMPTS if self._record.get(n)), None)
        if prompt is not None and "instruction" not in self._record:
            self._add_answer(prompt, "prompt", "user")
        better, worse = listed(chosen), listed(rejected)
        # Some files repeat the turns before the answer in both alternatives.
        shared = 0
        while shared < min(len(better), len(worse)) and same(better[shared], worse[shared]):
            self._add_answer(better[shared], f"shared-{shared + 1}", "assistant")
            shared += 1
        before = self.assembly.tip
        for number, turn in enumerate(better[shared:], start=1):
            self._add_answer(turn, f"chosen-{number}", "assistant")
        self.assembly.fork(before, "rejected")
        for number, turn in enumerate(worse[shared:], start=1):
            self._add_answer(turn, f"rejected-{number}", "assistant")

    def _add_answer(self, value: object, own: str, label: str) -> None:
        """Add a turn, a list of turns, or the text of a turn."""
        if isinstance(value, list):
            for number, turn in enumerate(as_list(cast("object", value)), start=1):
                self._add_turn(turn, f"{own}-{number}")
        elif isinstance(value, str):
            self._add(own, label, value)
        else:
            self._add_turn(value, own)

    def _add_turn(self, value: object, position: str) -> None:
        turn = as_object(value) or {}
        if is_turn(turn):
            self._add(position, label_of(turn), text_of(turn), turn)
        else:
            self.assembly.skip(self.assembly.own_id(None, position), "not a turn")

    def _add(
        self, position: str, label: str, value: object, turn: dict[str, Any] | None = None
    ) -> None:
        draft = self.assembly.draft()
        message = message_of(draft, label, value, turn or {})
        self._media.place(draft, value)
        message.external_id = self.assembly.own_id((turn or {}).get("id"), position)
        if message.role == "assistant":
            message.llm_model = message.llm_model or self._model
        self.assembly.add(message, draft)

    def _add_verdict(self) -> None:
        """Add the opinion that datasets for KTO have: whether the last answer is good."""
        verdict = self._record.get("kto_tag", self._record.get("label"))
        messages = self.assembly.conversation.messages
        if isinstance(verdict, bool) and messages and messages[-1].role == "assistant":
            messages[-1].feedback = ImportedFeedback("up" if verdict else "down")


def _sign(seen: Glimpse) -> bool:
    if seen.opening not in ("[", "{"):
        return False
    if seen.first is None:
        return seen.has("conversations", "from", "value")
    return _is_record(seen.first)


SHAREGPT = Format(
    name="sharegpt",
    title="ShareGPT or Alpaca dataset",
    reader=read,
    sign=_sign,
    files=_FILES,
)
