"""The sections of a prompt, in order: what each holds, and how many tokens it may take.

Adding a section is one entry here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from message_service.documents.character import Character
from message_service.documents.conversation import PromptSettings
from message_service.generation.provider import Turn

_START = re.compile(r"^[^\S\n]*<START>[^\S\n]*$", re.I | re.M)
_PLACEHOLDER = re.compile(r"\{\{\s*(char|user)\s*\}\}|<(BOT|USER)>", re.I)
_USER = "User"
_EXAMPLES = "Example of how {} talks:"


@dataclass(frozen=True, slots=True)
class Cast:
    """Who talks with whom.

    Attributes:
        character: The character, if the conversation has one that is stored.
        settings: What the model is told in this conversation.
    """

    character: Character | None
    settings: PromptSettings

    def filled(self, text: str | None) -> str:
        """Return a text of the card with the names in it, trimmed."""
        names = {
            "char": "Assistant" if self.character is None else self.character.name,
            "user": self.settings.user_name or _USER,
        }
        names |= {"bot": names["char"]}

        def name(found: re.Match[str]) -> str:
            return names[(found[1] or found[2]).lower()]

        return _PLACEHOLDER.sub(name, text or "").strip()


Place = Literal["before", "history", "depth", "end"]


@dataclass(frozen=True, slots=True)
class Section:
    """A section of a prompt.

    Attributes:
        name: Its name.
        purpose: What it holds.
        place: Where its turns stand: before the history, in its place, `depth` messages before its
            end, or at the end.
        texts: Returns its texts, each a turn of the system; None for the history's own sections.
        share: Most of the budget it may take; more is cut off, the last texts first.
        required: Whether it must be there whole: if it does not fit, nothing is sent.
    """

    name: str
    purpose: str
    place: Place
    texts: Callable[[Cast], Sequence[str]] | None = None
    share: float = 1.0
    required: bool = True


def _instructions(cast: Cast) -> Sequence[str]:
    own = cast.settings.instructions
    if own is None and cast.character is not None:
        own = cast.character.system_prompt
    return [cast.filled(own)]


def _character(cast: Cast) -> Sequence[str]:
    card = cast.character
    if card is None:
        return []
    texts = (card.description, card.personality, card.scenario)
    return ["\n\n".join(filter(None, map(cast.filled, texts)))]


def _examples(cast: Cast) -> Sequence[str]:
    if cast.character is None or not cast.character.example_dialogue:
        return []
    head = _EXAMPLES.format(cast.character.name)
    dialogues = (cast.filled(text) for text in _START.split(cast.character.example_dialogue))
    return [f"{head}\n{dialogue}" for dialogue in dialogues if dialogue]


def _note(cast: Cast) -> Sequence[str]:
    own = cast.settings.author_note
    if own is None and cast.character is not None:
        own = cast.character.author_note
    return [cast.filled(own)]


def _last(cast: Cast) -> Sequence[str]:
    return [] if cast.character is None else [cast.filled(cast.character.post_history_instructions)]


SECTIONS: tuple[Section, ...] = (
    Section("instructions", "what the model is told first", "before", _instructions),
    Section("character", "who the character is", "before", _character),
    Section("examples", "how the character talks", "before", _examples, share=0.25, required=False),
    Section("summary", "what was said before the window", "history"),
    Section("pinned", "pinned messages from before the window", "history"),
    Section("history", "the newest messages of the branch", "history"),
    Section("author_note", "a reminder some messages before the end", "depth", _note),
    Section("post_history", "what the model is told last", "end", _last),
)
"""Every section, in the order in which a model sees them."""

BY_NAME: Mapping[str, Section] = {section.name: section for section in SECTIONS}


def depth_of(cast: Cast) -> int:
    """Return how many messages before the end the author's note stands."""
    if cast.settings.author_note is not None:
        return cast.settings.author_note_depth or 0
    if cast.character is not None:
        return cast.character.author_note_depth or 0
    return 0


def system_turns(texts: Sequence[str]) -> tuple[Turn, ...]:
    """Return turns of the system, one for each text that says something."""
    return tuple(Turn("system", text) for text in texts if text)
