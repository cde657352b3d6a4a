"""ChatGPT-shaped exports of a chat that grows."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BEGAN = 1_780_000_000.0


@dataclass
class Chat:
    """A tree of messages, exported at will."""

    identifier: str = "c-grow"
    title: str = "Grow"
    nodes: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    current: str = "root"
    moment: float = BEGAN

    def __post_init__(self) -> None:
        self.nodes["root"] = {"id": "root", "message": None, "parent": None, "children": []}

    def say(self, parent: str, text: str, name: str | None = None) -> str:
        """Add a message under another and show it."""
        own = name or f"n{len(self.nodes)}"
        self.moment += 1
        self.nodes[own] = {
            "id": own,
            "parent": parent,
            "children": [],
            "message": {
                "id": own,
                "author": {"role": "assistant" if len(self.path(parent)) % 2 else "user"},
                "create_time": self.moment,
                "content": {"content_type": "text", "parts": [text]},
                "status": "finished_successfully",
                "weight": 1.0,
                "metadata": {},
                "recipient": "all",
            },
        }
        self.nodes[parent]["children"].append(own)
        self.current = own
        return own

    def rewrite(self, name: str, text: str) -> None:
        """Change a message's text under its id, as an answer that was exported half way."""
        self.moment += 1
        self.nodes[name]["message"]["content"]["parts"] = [text]

    def path(self, name: str) -> list[str]:
        """The texts from the beginning to a message."""
        texts: list[str] = []
        at: str | None = name
        while at is not None:
            message = self.nodes[at]["message"]
            if message is not None:
                texts.append(message["content"]["parts"][0])
            at = self.nodes[at]["parent"]
        return texts[::-1]

    def snapshot(self) -> dict[str, Any]:
        """The chat as an export holds it now."""
        return copy.deepcopy(
            {
                "id": self.identifier,
                "conversation_id": self.identifier,
                "title": self.title,
                "create_time": BEGAN,
                "update_time": self.moment,
                "mapping": self.nodes,
                "current_node": self.current,
            }
        )


def write(path: Path, *chats: dict[str, Any]) -> Path:
    """Write an export file."""
    path.write_text(json.dumps(chats))
    return path
