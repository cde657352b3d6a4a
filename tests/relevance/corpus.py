"""A fixed selection of real chat utterances in eight languages, each with a stable reference."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import cast

import yaml

XPERSONA = (
    ("en", "En_persona_test", 120),
    ("fr", "Fr_persona_split_test_human_annotated", 120),
    ("ja", "Jp_persona_split_test_human_annotated", 80),
    ("ko", "Ko_persona_split_test_human_annotated", 120),
    ("zh", "Zh_persona_split_test_human_annotated", 120),
)
REAL_PERSONA_DIALOGUES = 40
CHATTERBOT = (
    ("es", "spanish"),
    ("de", "german"),
    ("fr", "french"),
    ("en", "english"),
    ("zh", "chinese"),
    ("ja", "japanese"),
)
ARABIC = Path(__file__).with_name("arabic.tsv")


@dataclass(frozen=True)
class Utterance:
    """One thing said.

    Attributes:
        reference: Source file, dialogue and place in it, counted from 0; unique and stable.
        language: ISO 639-1 code.
        text: What was said, as the source has it.
        conversation: The reference without its last part.
    """

    reference: str
    language: str
    text: str
    conversation: str


def load_corpus(shared: Path) -> list[Utterance]:
    """Return the selection in a fixed order; blank utterances are left out.

    Args:
        shared: The folder that holds `xpersona`, `real-persona-chat` and `chatterbot-corpus`. Our
            own Arabic conversations are read from beside this module.
    """
    found = (
        *_xpersona(shared / "xpersona"),
        *_real_persona(shared / "real-persona-chat"),
        *_chatterbot(shared / "chatterbot-corpus"),
        *_arabic(),
    )
    return [one for one in found if one.text.strip()]


def _said(language: str, conversation: str, texts: list[str]) -> Iterator[Utterance]:
    for place, text in enumerate(texts):
        yield Utterance(f"{conversation}/{place}", language, text, conversation)


def _xpersona(folder: Path) -> Iterator[Utterance]:
    for language, name, count in XPERSONA:
        packed = (folder / f"{name}.json.gz").read_bytes()
        for number, dialogue in enumerate(json.loads(gzip.decompress(packed))[:count]):
            texts = [text for pair in dialogue["dialogue"] for text in pair]
            yield from _said(language, f"xpersona/{name}/{number}", texts)


def _real_persona(folder: Path) -> Iterator[Utterance]:
    with gzip.open(folder / "dialogues.00001-06000.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in islice(lines, REAL_PERSONA_DIALOGUES):
            dialogue = json.loads(line)
            texts = [one["text"] for one in dialogue["utterances"]]
            yield from _said("ja", f"real-persona-chat/{dialogue['dialogue_id']}", texts)


def _chatterbot(folder: Path) -> Iterator[Utterance]:
    for language, name in CHATTERBOT:
        for path in sorted((folder / name).glob("*.yml")):
            # The C loader reads the same YAML about ten times faster.
            content = yaml.load(path.read_bytes(), Loader=yaml.CSafeLoader)
            for number, conversation in enumerate(content["conversations"]):
                if isinstance(conversation, list):  # One entry of the source is not.
                    texts = [str(text) for text in cast(list[object], conversation)]
                    yield from _said(language, f"chatterbot/{name}/{path.stem}/{number}", texts)


def _arabic() -> Iterator[Utterance]:
    """Read `arabic.tsv`: conversation number, tab, text; one utterance a line."""
    conversations: dict[str, list[str]] = {}
    for line in ARABIC.read_text("utf-8").splitlines():
        number, text = line.split("\t")
        conversations.setdefault(number, []).append(text)
    for number, texts in conversations.items():
        yield from _said("ar", f"arabic/{number}", texts)
