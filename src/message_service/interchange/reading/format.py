"""What an import format is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from message_service.interchange.reading.fitting import fitted
from message_service.interchange.reading.glimpse import Glimpse
from message_service.interchange.reading.records import ImportedConversation

Reader = Callable[[Sequence[Path]], Iterator[ImportedConversation]]
"""Yields the conversations of files; each reader documents the paths it accepts."""

AttachmentId = Callable[[str], str | None]
"""Returns the provider's id of an attachment, from the name of its file; None for other files."""

Sign = Callable[[Glimpse], bool]
"""Whether a file that begins like this has the format, and no other."""


@dataclass(slots=True, frozen=True)
class Format:
    """One import format.

    Attributes:
        name: The name on the command line.
        title: The name for people.
        reader: The function that reads the format.
        sign: The function that recognises it.
        files: Patterns of the names of files that are taken from a folder or an archive; the first
            one that matches any file is used.
        attachment_id: Returns the provider's id of the attachment that a file beside them holds;
            None for a format whose exports hold no such files.
    """

    name: str
    title: str
    reader: Reader
    sign: Sign
    files: tuple[str, ...]
    attachment_id: AttachmentId | None = None

    def read(self, paths: Sequence[Path]) -> Iterator[ImportedConversation]:
        """Yield the conversations of files, made storable except for their texts (see `fitted`).

        Raises:
            InvalidImport: As the reader.
        """
        for conversation in self.reader(paths):
            yield fitted(conversation)
