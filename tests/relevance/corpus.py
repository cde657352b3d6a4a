"""A fixed selection of real utterances in eight languages, each with a reference to its source."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

PERSONA = {
    "en": ("En", 120),
    "fr": ("Fr", 120),
    "ja": ("Jp", 60),
    "ko": ("Ko", 120),
    "zh": ("Zh", 120),
}
REAL_PERSONA_DIALOGUES = 30
CHATTERBOT = {"es": "spanish", "de": "german", "fr": "french", "en": "english"}
OURS = Path(__file__).with_name("arabic.tsv")


@dataclass(frozen=True)
class Utterance:
    """One thing said.

    Attributes:
        reference: Source, dialogue and utterance: `persona-ko/12/3`.
        language: ISO 639-1 code.
        text: What was said.
    """

    reference: str
    language: str
    text: str


def load_corpus(shared: Path) -> list[Utterance]:
    """Return the selection; our own Arabic lines are part of it."""
    found = [
        *_persona(shared / "xpersona"),
        *_real_persona(shared / "real-persona-chat"),
        *_chatterbot(shared / "chatterbot-corpus"),
        *_arabic(),
    ]
    return [one for one in found if one.text.strip()]


def _persona(folder: Path) -> Iterator[Utterance]:
    for language, (name, count) in PERSONA.items():
        [path] = folder.glob(f"{name}_*.json.gz")
        dialogues = json.loads(gzip.decompress(path.read_bytes()))[:count]
        for number, dialogue in enumerate(dialogues):
            said = [text for pair in dialogue["dialogue"] for text in pair]
            for place, text in enumerate(said):
                yield Utterance(f"persona-{language}/{number}/{place}", language, text)


def _real_persona(folder: Path) -> Iterator[Utterance]:
    with gzip.open(folder / "dialogues.00001-06000.jsonl.gz", "rt", encoding="utf-8") as lines:
        for _, line in zip(range(REAL_PERSONA_DIALOGUES), lines, strict=False):
            dialogue = json.loads(line)
            for one in dialogue["utterances"]:
                reference = f"rpc/{dialogue['dialogue_id']}/{one['utterance_id']}"
                yield Utterance(reference, "ja", one["text"])


def _chatterbot(folder: Path) -> Iterator[Utterance]:
    for language, name in CHATTERBOT.items():
        for path in sorted((folder / name).glob("*.yml")):
            content = yaml.safe_load(path.read_text("utf-8"))
            for number, conversation in enumerate(content["conversations"]):
                if not isinstance(conversation, list):
                    continue
                for place, text in enumerate(conversation):
                    reference = f"chatterbot-{name}/{path.stem}/{number}/{place}"
                    yield Utterance(reference, language, str(text))


def _arabic() -> Iterator[Utterance]:
    rows = [line for line in OURS.read_text("utf-8").splitlines() if line and line[0] != "#"]
    for number, text in enumerate(rows):
        yield Utterance(f"arabic/{number}", "ar", text)
