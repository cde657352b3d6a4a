"""Data sets made by the tests."""

from __future__ import annotations

import json
from pathlib import Path


def chitchat(path: Path, *, conversations: int = 300) -> int:
    """Write a small Chit-Chat data set of 40 messages a conversation; return how many messages."""
    data = {
        f"conversation {c}": {
            "messages": [
                [
                    {
                        "text": f"message {m} of {c}",
                        "timestamp": f"2018-05-02T{m // 60 % 24:02}:{m % 60:02}:00Z",
                        "sender": f"sender {m % 3}",
                    }
                ]
                for m in range(40)
            ],
            "start": "2018-05-02T00:00:00Z",
        }
        for c in range(conversations)
    }
    path.write_text(json.dumps(data))
    return conversations * 40
