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

    def say(self, parent: str, text: str, name: str | None = None, *, hidden: bool = False) -> str:
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
                "metadata": {"is_visually_hidden_from_conversation": True} if hidden else {},
                "recipient": "all",
            },
        }
        self.nodes[parent]["children"].append(own)
        self.current = own
        return own

    def think(self, parent: str, text: str) -> str:
        """Add a node of reasoning."""
        content = {"content_type": "thoughts", "thoughts": [{"summary": "", "content": text}]}
        return self._put(self.say(parent, ""), content, "assistant")

    def attach(self, parent: str, identifier: str, file_name: str) -> str:
        """Add a turn that consists of an image."""
        pointer = f"sediment://{identifier}"
        part = {"content_type": "image_asset_pointer", "asset_pointer": pointer}
        own = self._put(
            self.say(parent, ""), {"content_type": "multimodal_text", "parts": [part]}, "user"
        )
        entry = {"id": identifier, "name": file_name, "mime_type": "image/jpeg"}
        self.nodes[own]["message"]["metadata"]["attachments"] = [entry]
        return own

    def call(self, parent: str, tool: str, arguments: str) -> str:
        """Add a call of a tool."""
        own = self._put(
            self.say(parent, ""), {"content_type": "code", "text": arguments}, "assistant"
        )
        self.nodes[own]["message"]["recipient"] = tool
        return own

    def result(self, parent: str, text: str) -> str:
        """Add what the tool answered, after its call or after another result."""
        own = self._put(
            self.say(parent, ""), {"content_type": "execution_output", "text": text}, "tool"
        )
        self.nodes[own]["message"]["author"]["name"] = "web.run"
        return own

    def _put(self, own: str, content: dict[str, Any], role: str) -> str:
        self.nodes[own]["message"]["content"] = content
        self.nodes[own]["message"]["author"]["role"] = role
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
                texts.append(str(message["content"].get("parts", [""])[0]))
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
