"""The readers over real data, against the counts its description states."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from message_service import ids
from message_service.interchange.known_formats import FORMATS
from message_service.interchange.reading.records import (
    MAIN_BRANCH,
    ImportedConversation,
    ImportedMessage,
)

READERS = {known.name: known for known in FORMATS}


def read(name: str, *paths: Path) -> list[ImportedConversation]:
    conversations = list(READERS[name].read(paths))
    for conversation in conversations:
        check(conversation)
    return conversations


def check(conversation: ImportedConversation) -> None:
    """What holds of every conversation of every format."""
    known = {MAIN_BRANCH}
    before: set[str] = set()
    branch_of = {m.external_id: m.branch for m in conversation.messages}
    assert len(branch_of) == len(conversation.messages)
    for branch in conversation.branches:
        assert branch.parent in known
        assert branch.fork is None or branch_of[branch.fork] == branch.parent
        assert ids.check_branch("branch", branch.name) not in known
        known.add(branch.name)
    assert set(branch_of.values()) <= known
    for message in conversation.messages:
        assert message.text or message.parts
        assert message.parent is None or message.parent in before
        assert message.reply_to is None or message.reply_to in before
        assert not message.custom.get("orphaned")
        before.add(message.external_id)


def messages(conversations: list[ImportedConversation]) -> int:
    return sum(len(c.messages) for c in conversations)


def reasons(conversations: list[ImportedConversation]) -> dict[str, int]:
    return dict(Counter(item.reason for c in conversations for item in c.skipped))


def said(message: ImportedMessage) -> str:
    return message.text or "\n".join(part.get("text", "") for part in message.parts[:1])


def test_chatgpt_export(shared_data: Path) -> None:
    path = shared_data / "chatgpt-export" / "conversations.json"
    conversations = read("chatgpt", path)
    assert len(conversations) == 4
    # 47 nodes: 4 roots and 11 messages have no text; one of them is the result of a call.
    assert (messages(conversations), reasons(conversations)) == (33, {"empty node": 14})
    assert all(not c.branches for c in conversations)
    for conversation, raw in zip(conversations, json.loads(path.read_bytes()), strict=True):
        shown: list[str] = []
        at = raw["current_node"]
        while at is not None:
            content = (raw["mapping"][at]["message"] or {}).get("content", {})
            if content.get("content_type") == "text" and content["parts"][0]:
                shown.append(content["parts"][0])
            at = raw["mapping"][at]["parent"]
        typed = [m for m in conversation.messages if "content_type" not in m.custom]
        plain = [text for m in typed if (text := said(m))]
        assert plain == shown[::-1]
        assert conversation.messages[-1].external_id == raw["current_node"]


def leaves_and_texts(message: dict[str, Any]) -> tuple[int, list[str]]:
    below = [leaves_and_texts(reply) for reply in message["replies"]]
    texts = [message["text"], *(text for _, found in below for text in found)]
    return sum(count for count, _ in below) or 1, texts


@pytest.mark.parametrize("shape", ["tree", "message"])
def test_open_assistant_trees(shared_data: Path, shape: str) -> None:
    path = shared_data / "oasst-trees" / f"en_100_{shape}.part1.jsonl"
    conversations = read("openassistant", path)
    assert (len(conversations), messages(conversations), reasons(conversations)) == (75, 874, {})
    records = [json.loads(line) for line in path.read_text().splitlines()]
    for conversation, record in zip(conversations, records, strict=True):
        leaves, texts = leaves_and_texts(record.get("prompt", record))
        assert 1 + len(conversation.branches) == leaves
        assert sorted(m.text for m in conversation.messages) == sorted(texts)
    # On main, a ranked reply is the best of its siblings.
    on_main = [m for c in conversations for m in c.messages if m.branch == MAIN_BRANCH]
    assert {m.custom["rank"] for m in on_main if "rank" in m.custom} == {0}
    assert sum(m.llm_model is not None for c in conversations for m in c.messages) == 17
    parents = Counter(m.parent for c in conversations for m in c.messages if m.parent)
    assert sum(count > 1 for count in parents.values()) == 197


def test_mt_bench(shared_data: Path) -> None:
    conversations = read("mtbench", shared_data / "mt-bench")
    assert len(conversations) == 80
    # The question once, then answer, turn and answer of 22 models; two answers are empty.
    assert messages(conversations) == 80 + 80 * 22 * 3 - 2
    assert reasons(conversations) == {"empty text": 2}
    assert {len(c.branches) for c in conversations} == {21}
    models = {m.llm_model for c in conversations for m in c.messages if m.role == "assistant"}
    assert len(models) == 22
    first = conversations[0]
    assert first.messages[1].llm_model == "alpaca-13b"
    questions = (shared_data / "mt-bench" / "question.jsonl").read_text().splitlines()
    turns = json.loads(questions[0])["turns"]
    assert [first.messages[0].text, first.messages[2].text] == turns


def test_its_japanese_sibling_reads_too(shared_data: Path) -> None:
    conversations = read("mtbench", shared_data / "ja-vicuna-qa")
    assert (len(conversations), messages(conversations)) == (80, 80 + 400)
    assert {len(c.branches) for c in conversations} == {4}


def test_chitchat_file(shared_data: Path) -> None:
    conversations = read("chitchat", shared_data / "chitchat")
    assert len(conversations) == 5_974
    assert reasons(conversations) == {"empty text": 23}
    assert messages(conversations) == 213_825 - 23
    assert len({m.sender for c in conversations for m in c.messages}) == 1_204
    assert max(len(c.messages) + len(c.skipped) for c in conversations) == 2_895
    assert sum("prompt" in c.custom for c in conversations) == 5_779 - 4  # four are empty
    assert sum("ratings" in c.custom for c in conversations) == 5_008
    moments = [m.created_at for c in conversations for m in c.messages]
    assert all(moments)


def test_chitchat_package_is_a_superset(shared_data: Path) -> None:
    pytest.importorskip("chitchat_dataset")
    part = {c.external_id: c for c in READERS["chitchat"].read([shared_data / "chitchat"])}
    whole = {c.external_id: c for c in READERS["chitchat"].read([Path("package")])}
    assert len(whole) == 7_168
    assert all(whole[identifier] == conversation for identifier, conversation in part.items())


def test_irc_logs(shared_data: Path) -> None:
    folder = shared_data / "irc-disentanglement" / "train"
    conversations = read("irc", folder)
    assert len(conversations) == 51
    said = [m for c in conversations for m in c.messages]
    # 65,287 messages and 146 actions, of which 8 and 1 say nothing.
    actions = sum("action" in m.custom for m in said)
    assert (len(said) - actions, actions) == (65_287 - 8, 146 - 1)
    assert reasons(conversations) == {
        "server notice": 8_596,
        "channel notice": 42,
        "empty text": 9,
    }
    assert len(said) + sum(reasons(conversations).values()) == 74_071
    # Every link between two lines is accounted for.
    between = sum(
        len(set(line.split()[:2])) == 2
        for path in folder.glob("*.annotation.txt")
        for line in path.read_text().splitlines()
    )
    answered = sum(m.reply_to is not None for m in said)
    others = sum(len(m.custom.get("also_answers", ())) for m in said)
    to_notices = sum(len(m.custom.get("answers_lines", ())) for m in said)
    from_skipped = sum(c.custom.get("links_from_skipped_lines", 0) for c in conversations)
    assert between == 17_797 == answered + others + to_notices + from_skipped
    for conversation in conversations:
        moments = [m.created_at for m in conversation.messages if m.created_at]
        assert len(moments) == len(conversation.messages)
        assert moments == sorted(moments)
        assert str(moments[0].date()) == conversation.external_id[:10]
        assert (moments[-1] - moments[0]).total_seconds() < 24 * 3600
    text = gzip.decompress((folder / "2012-03-24.train-c.raw.txt.gz").read_bytes()).decode()
    lines = text.split("\n")
    one = next(c for c in conversations if c.external_id == "2012-03-24.train-c")
    for message in one.messages:
        line = lines[int(message.external_id.rsplit(":", 1)[1])]
        assert line.endswith(f" {message.text}")


def accounted(name: str, *paths: Path) -> int:
    """Return how many records a reader says there are, all of them stored or left out."""
    total = 0
    for conversation in READERS[name].read(paths):
        there = len(conversation.messages) + len(conversation.skipped)
        assert conversation.records in (None, there)
        total += there
    return total


def opened(path: Path) -> Iterator[bytes]:
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as lines:
        yield from lines


def test_every_record_of_the_files_is_accounted_for(shared_data: Path) -> None:
    export = shared_data / "chatgpt-export" / "conversations.json"
    nodes = sum(len(chat["mapping"]) for chat in json.loads(export.read_bytes()))
    assert accounted("chatgpt", export) == nodes

    [packed] = (shared_data / "chitchat").glob("dataset*.gz")
    chats = json.loads(gzip.decompress(packed.read_bytes()))
    said = sum(len(turn) for chat in chats.values() for turn in chat["messages"])
    assert accounted("chitchat", packed) == said

    logs = list((shared_data / "irc-disentanglement").rglob("*.raw.txt*"))
    assert accounted("irc", *logs) == sum(1 for log in logs for _ in opened(log))

    for shape in ("tree", "message"):
        trees = shared_data / "oasst-trees" / f"en_100_{shape}.part1.jsonl"
        told = sum(
            len(leaves_and_texts(record.get("prompt", record))[1])
            for record in map(json.loads, trees.read_text().splitlines())
        )
        assert accounted("openassistant", trees) == told

    for name in ("mt-bench", "ja-vicuna-qa"):
        folder = shared_data / name
        asked = [json.loads(line)["turns"] for line in opened(folder / "question.jsonl")]
        models = list((folder / "model_answer").iterdir())
        answers = [json.loads(line) for path in models for line in opened(path)]
        turns = sum(len(choice["turns"]) for answer in answers for choice in answer["choices"])
        # All models share the first question; each has its own copy of the others.
        questions = sum(1 + (len(one) - 1) * len(models) for one in asked)
        assert accounted("mtbench", folder) == turns + questions
