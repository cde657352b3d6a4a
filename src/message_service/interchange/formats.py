"""The import formats. Each format is a module with a function `read`, and an entry here."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from message_service import errors
from message_service.interchange import chatgpt, chitchat, irc, mtbench, openassistant, sources
from message_service.interchange.fitting import fitted
from message_service.interchange.records import ImportedConversation

_LOOKED_AT = 64 * 1024

Reader = Callable[[Sequence[Path]], Iterator[ImportedConversation]]
"""Yields the conversations of files; each reader documents the paths it accepts."""


@dataclass(slots=True, frozen=True)
class Format:
    """One import format.

    Attributes:
        name: The name on the command line.
        title: The name for people.
        reader: The function that reads the format.
        sign: A pattern that matches the first 64 KiB of files of this format only.
    """

    name: str
    title: str
    reader: Reader
    sign: re.Pattern[bytes]

    def read(self, paths: Sequence[Path]) -> Iterator[ImportedConversation]:
        """Yield the conversations of files, made storable except for their texts (see `fitted`).

        Raises:
            InvalidImport: As the reader; when the file has another format, `fix` names that format.
        """
        try:
            for conversation in self.reader(paths):
                yield fitted(conversation)
        except errors.InvalidImport as error:
            path: str | None = error.details.get("path")
            other = guess(Path(path)) if path is not None else None
            if other is None or other is self:
                raise
            fix = f"It looks like {other.title}: import it as {other.name!r}"
            raise errors.InvalidImport(error.field, error.problem, fix, path=path) from error


FORMATS: tuple[Format, ...] = (
    Format("chatgpt", "ChatGPT data export", chatgpt.read, re.compile(rb'^\s*\[.*"mapping"', re.S)),
    Format(
        "openassistant",
        "Open Assistant message trees",
        openassistant.read,
        re.compile(rb'^\s*\{.*"replies"', re.S),
    ),
    Format(
        "mtbench",
        "MT-Bench questions and answers",
        mtbench.read,
        re.compile(rb'^\s*\{"question_id"'),
    ),
    Format(
        "chitchat",
        "Chit-Chat dataset",
        chitchat.read,
        re.compile(rb'^\s*\{\s*"[^"]+":\s*\{.*"messages":\s*\[\s*\[', re.S),
    ),
    Format("irc", "IRC log with reply links", irc.read, re.compile(rb"^(\[\d\d:\d\d\] |=== )")),
)


def guess(path: Path) -> Format | None:
    """Return the format that a file seems to have; None when it is unknown or cannot be read."""
    try:
        start = next(sources.chunks(path), b"")[:_LOOKED_AT]
    except errors.InvalidImport:
        return None
    return next((known for known in FORMATS if known.sign.search(start)), None)
