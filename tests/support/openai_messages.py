"""Files with messages of the OpenAI API, for tests of the reader."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from message_service.interchange.formats.openai import read
from message_service.interchange.reading.records import ImportedConversation

HELLO = {"role": "user", "content": "Hi"}
ANSWER = {"role": "assistant", "content": "Hello"}


def conversations(folder: Path, *values: object) -> list[ImportedConversation]:
    """Read one value as a JSON file, several as JSON Lines."""
    file = folder / "log.json"
    file.write_text("\n".join(map(json.dumps, values)))
    return list(read([file]))


def only(folder: Path, *messages: dict[str, Any]) -> ImportedConversation:
    (conversation,) = conversations(folder, {"messages": list(messages)})
    return conversation
