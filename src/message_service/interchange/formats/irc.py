"""Reads IRC channel logs with reply links, in the form of the irc-disentanglement data.

`DATE.NAME.raw.txt` contains the lines; the optional file `DATE.NAME.annotation.txt` beside it lists
which lines answer which.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

from message_service.interchange.reading import sources
from message_service.interchange.reading.format import Format
from message_service.interchange.reading.records import (
    ImportedConversation,
    ImportedMessage,
    SkippedItem,
)

_FILES = ("*.raw.txt", "*/*.raw.txt")
_SIGN = re.compile(rb"^(\[\d\d:\d\d\] |=== )")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_SPOKEN = re.compile(r"\[(\d\d):(\d\d)\] (?:<([^>]*)> ?| \* (\S+) ?)(.*)", re.DOTALL)
_CHANNEL_NOTICE = re.compile(r"\[\d\d:\d\d\] -")
_SERVER_NOTICE = "==="
_LINK = re.compile(r"(\d+) (\d+) -\s*")

_DAY = 24 * 60
_CLOCK_SET_BACK = 60
"""Minutes the clock may go back without a new day: summer time ended or the clock was corrected."""


def read(paths: Sequence[Path]) -> Iterator[ImportedConversation]:
    """Yield one conversation for each log; one log is in memory at a time.

    Args:
        paths: `*.raw.txt` files, plain or gzip, or folders with such files.

    Raises:
        InvalidImport: A file is missing, damaged, or not an IRC log, or its name has no date.
    """
    for path in sources.expand(paths, *_FILES):
        yield _Log(path).conversation()


class _Log:
    """One log while it is read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._name = path.name.removesuffix(".gz").removesuffix(".txt").removesuffix(".raw")
        self._result = ImportedConversation(external_id=self._name, title=self._name)
        self._minutes: list[int] = []
        self._by_line: dict[int, ImportedMessage] = {}

    def conversation(self) -> ImportedConversation:
        """Return the log as a conversation."""
        for number, line in sources.lines(self._path):
            self._take(number - 1, line)  # the annotations count lines from 0
        self._set_times(self._date())
        annotation = self._annotation()
        if annotation is not None:
            self._link(annotation)
        self._result.messages = list(self._by_line.values())
        if self._result.messages:
            self._result.sender = self._result.messages[0].sender
            self._result.created_at = self._result.messages[0].created_at
        return self._result

    def _id(self, line: int) -> str:
        return f"{self._name}:{line}"

    def _date(self) -> datetime:
        found = _DATE.search(self._path.name)
        try:
            return datetime.strptime(found[0] if found else "", "%Y-%m-%d").replace(tzinfo=UTC)
        except ValueError:
            raise sources.broken(
                self._path,
                "has no date in its name, and the lines have only the time",
                "Give the file a name like 2004-12-25.channel.raw.txt",
            ) from None

    def _take(self, number: int, line: str) -> None:
        spoken = _SPOKEN.fullmatch(line)
        if spoken is None or not spoken[5]:
            self._result.skipped.append(SkippedItem(self._id(number), self._why(number, line)))
            return
        hour, minute, speaker, actor, text = spoken.groups()
        self._minutes.append(int(hour) * 60 + int(minute))
        self._by_line[number] = ImportedMessage(
            external_id=self._id(number),
            role="user",
            text=text,
            sender=speaker or actor,
            custom={"action": True} if actor else {},
        )

    def _why(self, number: int, line: str) -> str:
        if _SPOKEN.fullmatch(line):
            return "empty text"
        if line.startswith(_SERVER_NOTICE):
            return "server notice"
        if _CHANNEL_NOTICE.match(line):
            return "channel notice"
        if number == 0:
            raise sources.broken(
                self._path,
                "is not an IRC log: line 1 is neither '[HH:MM] <nick> text' nor a notice",
                "Give a *.raw.txt file, or name the file's own format",
            )
        return "not a line of chat"

    def _set_times(self, date: datetime) -> None:
        # Logs of the early years use a 12-hour clock without AM and PM: after noon it goes 11:59
        # 12:00 12:59 1:00, and at midnight 11:59 0:00. Only a log that reaches midnight shows which
        # half of the day it covers: it began after noon. Otherwise the morning is assumed.
        turn = _DAY if max(self._minutes, default=0) >= 13 * 60 else _DAY // 2
        drops = (
            after for before, after in pairwise(self._minutes) if before - after > _CLOCK_SET_BACK
        )
        to_midnight = turn < _DAY and next(drops, _DAY) < 60
        offset = turn if to_midnight else 0
        before = 0
        for minute, message in zip(self._minutes, self._by_line.values(), strict=True):
            if before - minute > _CLOCK_SET_BACK:
                offset += turn
            before = minute
            message.created_at = date + timedelta(minutes=offset + minute)

    def _annotation(self) -> Path | None:
        for ending in (".annotation.txt", ".annotation.txt.gz"):
            path = self._path.with_name(self._name + ending)
            if path.exists():
                return path
        return None

    def _link(self, annotation: Path) -> None:
        answers: dict[int, list[int]] = {}
        lost = 0
        for number, line in sources.lines(annotation):
            link = _LINK.fullmatch(line)
            if link is None:
                raise sources.broken(
                    annotation,
                    f"holds no link in line {number}",
                    "Each line must be two line numbers and a dash, such as '1000 1002 -'",
                )
            earlier, later = sorted((int(link[1]), int(link[2])))
            if later not in self._by_line:
                lost += earlier != later
            elif earlier == later:
                self._by_line[later].custom["starts_thread"] = True
            elif earlier not in self._by_line:
                self._by_line[later].custom.setdefault("answers_lines", []).append(earlier)
            else:
                answers.setdefault(later, []).append(earlier)
        for later, found in answers.items():
            # `reply_to` can name only one message: the nearest. The others go to custom facts.
            nearest, *others = sorted(found, reverse=True)
            self._by_line[later].reply_to = self._id(nearest)
            if others:
                self._by_line[later].custom["also_answers"] = [self._id(line) for line in others]
        if lost:
            self._result.custom["links_from_skipped_lines"] = lost


IRC = Format(
    name="irc",
    title="IRC log with reply links",
    reader=read,
    sign=lambda seen: _SIGN.search(seen.start) is not None,
    files=_FILES,
)
