"""Reads MT-Bench (FastChat's `llm_judge`): questions in one file, each model's answers in another.

A question becomes one conversation: all models share the user's first turn, and each model's
answers, with the user's further turns between them, form a branch.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from message_service import errors
from message_service.interchange.reading import moments, sources, trees
from message_service.interchange.reading.format import Format
from message_service.interchange.reading.json_reading import as_list, as_object, as_text, json_lines
from message_service.interchange.reading.records import (
    ImportedConversation,
    ImportedMessage,
    SkippedItem,
    present,
)

_MEMORY_BYTES = 8 * 1024 * 1024


def read(paths: Sequence[Path]) -> Iterator[ImportedConversation]:
    """Yield one conversation for each question, in the order of the question file.

    The answers are first indexed by question in a temporary file, so that only the answers to one
    question are in memory at a time. A damaged answer file is therefore found before any
    conversation is yielded.

    Args:
        paths: Folders (`question.jsonl` and `model_answer/*.jsonl` are read), or question and
            answer files, plain or gzip.

    Raises:
        InvalidImport: A file is missing, damaged, or of another format, or no question file is
            given.
    """
    question_files: list[Path] = []
    with tempfile.SpooledTemporaryFile(max_size=_MEMORY_BYTES) as spool:
        answers = _Answers(spool)
        for path in _files(paths):
            if _holds_questions(path):
                question_files.append(path)
            else:
                answers.add(path)
        if not question_files:
            raise errors.InvalidImport(
                "path", "there is no question file", "Name question.jsonl as well, or its folder"
            )
        seen: set[str] = set()
        for path in question_files:
            for number, record in json_lines(path):
                if _key(record) in seen:
                    raise sources.broken(
                        path,
                        f"repeats question {_key(record)} in line {number}",
                        "Import sets with the same question ids in separate imports",
                    )
                seen.add(_key(record))
                yield _conversation(record, answers.take(_key(record)))
        for key in answers.left():
            yield _conversation({"question_id": key}, answers.take(key))


def _files(paths: Sequence[Path]) -> list[Path]:
    if not paths:
        return sources.expand(paths)
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            files += sources.expand([path], "question.jsonl")
            files += sources.expand([path], "model_answer/*.jsonl")
        else:
            files += sources.expand([path])
    return files


def _holds_questions(path: Path) -> bool:
    """Return True for a question file and False for an answer file, by the first record."""
    number, record = next(json_lines(path))
    if "question_id" in record and isinstance(record.get("turns"), list):
        return True
    if "question_id" in record and isinstance(record.get("choices"), list):
        return False
    raise sources.broken(
        path,
        f"is neither a question nor an answer file: line {number} has no 'turns' or 'choices'",
        "Give question.jsonl and model_answer/*.jsonl, or name the file's own format",
    )


def _key(record: Mapping[str, Any]) -> str:
    return str(record.get("question_id"))


@dataclass(slots=True, frozen=True)
class _Answer:
    """One choice of one model: a chain of turns."""

    identifier: str
    model: str = ""
    file: str = ""
    choice: int = 0
    turns: Sequence[Any] = ()
    moment: datetime | None = None


class _Answers:
    """All answers, on disk, indexed by question."""

    def __init__(self, spool: IO[bytes]) -> None:
        self._spool = spool
        self._offsets: dict[str, list[int]] = {}

    def add(self, path: Path) -> None:
        """Add the answers of a file."""
        name = path.name.removesuffix(".gz").removesuffix(".jsonl")
        for _, record in json_lines(path):
            self._offsets.setdefault(_key(record), []).append(self._spool.tell())
            self._spool.write(json.dumps([name, record]).encode("ascii") + b"\n")

    def take(self, key: str) -> list[_Answer]:
        """Return and remove a question's answers, models in alphabetical order."""
        found: list[_Answer] = []
        for offset in self._offsets.pop(key, ()):
            self._spool.seek(offset)
            name, record = json.loads(self._spool.readline())
            model = as_text(record.get("model_id")) or name
            answer_id = as_text(record.get("answer_id")) or f"{key}:{model}"
            for position, choice in enumerate(as_list(record.get("choices")) or [None]):
                found.append(
                    _Answer(
                        identifier=f"{answer_id}.{position}" if position else answer_id,
                        model=model,
                        file=name,
                        choice=position,
                        turns=as_list((as_object(choice) or {}).get("turns")),
                        moment=moments.from_unix(record.get("tstamp")),
                    )
                )
        return sorted(found, key=lambda answer: (answer.model.casefold(), answer.choice))

    def left(self) -> list[str]:
        """Return the keys of the questions whose answers were not taken."""
        return list(self._offsets)


def _conversation(question: Mapping[str, Any], answers: Sequence[_Answer]) -> ImportedConversation:
    key = _key(question)
    said = as_list(question.get("turns"))
    category = as_text(question.get("category"))
    dated = [answer.moment for answer in answers if answer.moment is not None]
    conversation = ImportedConversation(
        # Translations and variants reuse the question ids; the digest of the first turn makes the
        # ids unique.
        external_id=f"{key}-{_digest(said[0] if said else '')}",
        title=f"{category} {key}" if category else f"Question {key}",
        created_at=min(dated, default=None),
        custom=present(
            {
                "question_id": key,
                "category": category,
                "reference": [text for text in as_list(question.get("reference")) if as_text(text)],
            }
        ),
    )
    tree = _Tree(conversation.skipped)
    first = f"{key}:q1"
    if said:
        tree.add(first, None, said[0])
    else:
        # The answers then have no parent, and `flatten` marks them as orphaned.
        conversation.skipped.append(SkippedItem(key, "the question's turns are missing"))
    seen: set[str] = set()
    for answer in answers or [_Answer(key)]:
        if answer.identifier in seen:
            reason = "same id as an earlier answer"
            conversation.skipped.append(SkippedItem(answer.identifier, reason))
        elif answers and not answer.turns:
            conversation.skipped.append(SkippedItem(answer.identifier, "no turns in the answer"))
        else:
            tree.add_chain(first, said, answer)
        seen.add(answer.identifier)
    flat = trees.flatten(
        tree.messages,
        dropped=tree.dropped,
        name_branch=lambda start, _: tree.models[start.external_id],
    )
    conversation.messages, conversation.branches = flat.messages, flat.branches
    return conversation


class _Tree:
    """Collects the messages of a question."""

    def __init__(self, skipped: list[SkippedItem]) -> None:
        self.messages: list[ImportedMessage] = []
        self.dropped: dict[str, str | None] = {}
        self.models: dict[str, str] = {}
        self._skipped = skipped

    def add_chain(self, first: str, said: Sequence[Any], answer: _Answer) -> None:
        """Add a model's answers, and the user's turns between them, under the first question."""
        parent = first
        for turn in range(max(len(answer.turns), len(said))):
            if 0 < turn < len(said):
                own = f"{answer.identifier}:q{turn + 1}"
                self.models[own] = answer.model
                parent = self.add(own, parent, said[turn])
            if turn < len(answer.turns):
                own = f"{answer.identifier}:a{turn + 1}"
                self.models[own] = answer.model
                parent = self.add(own, parent, answer.turns[turn], answer)

    def add(self, own: str, parent: str | None, text: object, by: _Answer | None = None) -> str:
        """Add a message of the user, or of the model of `by` when given; return its id."""
        if not isinstance(text, str) or not text:
            self.dropped[own] = parent
            self._skipped.append(SkippedItem(own, "empty text"))
            return own
        message = ImportedMessage(external_id=own, role="user", text=text, parent=parent)
        if own in self.models:
            message.line_name = trees.safe_branch_name(self.models[own])
        if by is not None:
            message.role = "assistant"
            message.created_at = by.moment
            message.llm_model = by.model
            if by.file != by.model:
                message.custom["answer_file"] = by.file
        self.messages.append(message)
        return own


def _digest(text: object) -> str:
    return hashlib.sha256(str(text).encode("utf-8", "surrogatepass")).hexdigest()[:8]


MTBENCH = Format(
    name="mtbench",
    title="MT-Bench questions and answers",
    reader=read,
    sign=lambda seen: seen.start.lstrip().startswith(b'{"question_id"'),
    files=("question.jsonl", "model_answer/*.jsonl"),
)
