"""Whatever the parts: the pieces of a message can be stored and read back as one."""

from __future__ import annotations

from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from message_service.interchange.splitting import pieces_of
from message_service.messages.content import new_content
from message_service.messages.continuations import goes_on
from message_service.messages.parts import check_parts


class Repeated(str):
    """A long text, shown in a failure by what it repeats."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<{self[:8]!r}... of {len(self)}>"


LONG = st.tuples(
    st.sampled_from(["x", "word ", "語", "🦊", "a line\n", "é\u0301"]),
    st.one_of(st.integers(1, 60_000), st.integers(49_990, 50_010)),
).map(lambda drawn: Repeated((drawn[0] * drawn[1])[:120_000]))
TEXT = st.one_of(LONG, st.text(min_size=1, max_size=20))
PART: st.SearchStrategy[dict[str, Any]] = st.one_of(
    st.builds(lambda text: {"type": "text", "text": text}, TEXT),
    st.builds(lambda text: {"type": "refusal", "text": text}, TEXT),
    st.builds(
        lambda text, call: {"type": "tool_result", "call_id": call, "text": text},
        TEXT,
        st.sampled_from(["a", "b"]),
    ),
    st.builds(lambda text: {"type": "reasoning", "text": text}, TEXT),
    st.just({"type": "attachment", "name": "a.png"}),
    st.just({"type": "other", "name": "big", "data": Repeated("y" * 400_000)}),
)


def filled_by(length: int) -> list[dict[str, Any]]:
    """Return a part that fills a piece, or nearly, and a part that must be cut."""
    return [
        {"type": "refusal", "text": Repeated("x" * length)},
        {"type": "text", "text": Repeated("word " * 12_000)},
    ]


def put_together(pieces: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = []
    for number, piece in enumerate(pieces):
        own = [dict(part) for part in piece]
        if number and goes_on(parts[-1], own[0]):
            parts[-1]["text"] += own.pop(0)["text"]
        parts += own
    return parts


@settings(max_examples=150, deadline=None)
@example(parts=filled_by(49_998))
@example(parts=filled_by(49_999))
@given(parts=st.lists(PART, min_size=1, max_size=6))
def test_parts(parts: list[dict[str, Any]]) -> None:
    pieces = [piece.parts for piece in pieces_of("", parts)]
    for piece in pieces:
        new_content("", check_parts("parts", piece))
    assert put_together(pieces) == parts


def test_very_many_parts() -> None:
    parts = [{"type": "text", "text": f"part {number}"} for number in range(10_000)]
    pieces = [piece.parts for piece in pieces_of("", parts)]
    assert max(map(len, pieces)) <= 1_000
    assert put_together(pieces) == parts


@settings(max_examples=60, deadline=None)
@given(text=TEXT)
def test_text(text: str) -> None:
    pieces = [piece.text for piece in pieces_of(text, [])]
    for piece in pieces:
        new_content(piece)
    assert "".join(pieces) == text
