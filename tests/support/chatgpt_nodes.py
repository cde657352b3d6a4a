"""ChatGPT exports of single nodes, for tests of the reader."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from message_service.interchange.formats.chatgpt import read
from message_service.interchange.reading.records import ImportedConversation

Node = dict[str, Any]


def node(own: str, parent: str | None, text: object = "said", **message: Any) -> Node:
    """A node with a text message; `content` and `metadata` replace parts of it."""
    return {
        "id": own,
        "parent": parent,
        "children": [],
        "message": {
            "author": {"role": message.pop("role", "user"), "name": message.pop("name", None)},
            "content": {"content_type": "text", "parts": [text]},
            "status": "finished_successfully",
            "recipient": "all",
            "weight": 1.0,
            "create_time": 1752302912.4719,
        }
        | message,
    }


def export(path: Path, *nodes: Node, **conversation: Any) -> Path:
    mapping = {one["id"]: one for one in nodes}
    for one in nodes:
        if one["parent"] in mapping and one["id"] not in mapping[one["parent"]]["children"]:
            mapping[one["parent"]]["children"].append(one["id"])
    record = {"id": "c1", "mapping": mapping} | conversation
    file = path / "conversations.json"
    file.write_text(json.dumps([record]))
    return file


def only(file: Path) -> ImportedConversation:
    (conversation,) = read([file])
    return conversation
