"""Where the benchmarks' texts come from, and what is left out where a source is not there.

Chit-Chat comes with the `demo` extra, so every clone has it. The judged and the multilingual sets
lie in `../shared/data` beside the checkout, which a clone elsewhere lacks.
"""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterator
from functools import cache
from importlib import resources
from pathlib import Path

SHARED = Path(__file__).parents[2] / "shared"
"""The folder that holds `data/`."""


def available(shared: Path, name: str, wanted_for: str) -> bool:
    """Return whether a shared data set is there; print what is skipped, and why, when it is not.

    Args:
        shared: The folder that holds `data/`.
        name: The data set's folder.
        wanted_for: What needs it.
    """
    folder = shared / "data" / name
    if folder.is_dir():
        return True
    print(f"skipped: {wanted_for} ({folder} is not there)", flush=True)
    return False


@cache
def chitchat_texts() -> tuple[str, ...]:
    """Return every text of the Chit-Chat data set, as its package has it."""
    packed = resources.files("chitchat_dataset") / "dataset.json"
    conversations = json.loads(packed.read_text("utf-8"))
    return tuple(
        message["text"]
        for conversation in conversations.values()
        for turn in conversation["messages"]
        for message in turn
    )


def real_texts(shared: Path = SHARED) -> list[str]:
    """Return real texts in a fixed mixture: Chit-Chat, and the shared sets that are there.

    Args:
        shared: The folder that holds `data/`.
    """
    data = shared / "data"
    found = list(chitchat_texts())
    for name, read in (
        ("real-persona-chat", _persona_chat),
        ("xpersona", _xpersona),
        ("irc-disentanglement", _irc),
    ):
        if available(shared, name, f"texts of {name}"):
            found.extend(read(data / name))
    texts = [text for text in found if text.strip()]
    random.Random(7).shuffle(texts)
    return texts


def _persona_chat(folder: Path) -> Iterator[str]:
    with gzip.open(folder / "dialogues.00001-06000.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            yield from (one["text"] for one in json.loads(line)["utterances"])


def _xpersona(folder: Path) -> Iterator[str]:
    for path in sorted(folder.glob("*.json.gz")):
        for dialogue in json.loads(gzip.decompress(path.read_bytes())):
            yield from (text for pair in dialogue["dialogue"] for text in pair)


def _irc(folder: Path) -> Iterator[str]:
    for path in sorted(folder.rglob("*.raw.txt.gz")):
        with gzip.open(path, "rt", encoding="utf-8", errors="replace") as lines:
            yield from (
                line.split("> ", 1)[1].strip()
                for line in lines
                if line.startswith("[") and "> " in line
            )
