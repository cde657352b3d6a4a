"""JSON samples with damage anywhere, and what any reader's conversations must be like."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable
from typing import Any

from hypothesis import strategies as st
from pydantic import TypeAdapter

from message_service.documents.parts import Part
from message_service.interchange.reading.records import ImportedConversation

PARTS: TypeAdapter[list[Part]] = TypeAdapter(list[Part])
ODD = st.sampled_from(
    [
        *(None, True, 0, -1, 1.5, 1e300, 2**70, "", "x", "data:a/b;base64,eA==", "\ud800"),
        *([], [None], [["x"]], [{"type": "zzz", "q": "x"}]),
        *({}, {"text": 1}, {"type": 5}, {"a.b": {"$c": ["d"]}}),
    ]
)


@st.composite
def damaged(draw: st.DrawFn, sample: Any) -> Any:
    """The sample with up to three of its values replaced by others, or by copies of its own."""
    value = copy.deepcopy(sample)
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(value))
        if not places:
            break
        holder, name = draw(st.sampled_from(places))
        others = st.sampled_from([other[key] for other, key in places])
        holder[name] = copy.deepcopy(draw(ODD | others))
    return value


def _places(value: Any) -> Iterable[tuple[Any, Any]]:
    names = (
        value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    )
    for name in names:
        yield value, name
        yield from _places(value[name])


def check(conversations: Iterable[ImportedConversation]) -> None:
    """Check that conversations are sound: ids, branches, parts, facts."""
    for conversation in conversations:
        assert conversation.external_id
        assert conversation.messages or conversation.skipped
        known: set[str] = set()
        branches = {"main"}
        for branch in conversation.branches:
            assert branch.parent in branches
            branches.add(branch.name)
        for message in conversation.messages:
            assert message.external_id not in known
            assert message.parent is None or message.parent in known
            assert message.branch in branches
            known.add(message.external_id)
            assert bool(message.text) != bool(message.parts)
            storable = json.dumps(message.parts, ensure_ascii=False).encode("utf-8", "replace")
            PARTS.validate_python(json.loads(storable))
            json.dumps(message.custom, allow_nan=False)
