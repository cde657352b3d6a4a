"""What a source says beside the texts cannot stop an import."""

from __future__ import annotations

from datetime import UTC, datetime

from message_service.interchange.reading.fitting import MAX_CUSTOM_BYTES, fitted
from message_service.interchange.reading.records import (
    ImportedBranch,
    ImportedConversation,
    ImportedMessage,
    SkippedItem,
)

LONE = "\ud800"


def test_ids_and_names_become_storable_and_still_fit_together() -> None:
    conversation = fitted(
        ImportedConversation(
            external_id=f"c{LONE}",
            title=LONE,
            sender=LONE,
            character=f"é{LONE}",
            messages=[
                ImportedMessage(external_id=f"a{LONE}", role="user", text=LONE, sender=LONE),
                ImportedMessage(
                    external_id="b",
                    role="assistant",
                    text="x",
                    parent=f"a{LONE}",
                    reply_to=f"a{LONE}",
                    branch="alt-1",
                    llm_model=LONE + "m" * 300,
                ),
            ],
            branches=[ImportedBranch("alt-1", "main", f"a{LONE}")],
            skipped=[SkippedItem(f"s{LONE}", f"odd {LONE}")],
        )
    )
    first, second = conversation.messages
    assert conversation.external_id == r"c\ud800"
    assert (conversation.sender, conversation.character) == (r"\ud800", r"é\ud800")
    assert (first.external_id, first.sender) == (r"a\ud800", r"\ud800")
    assert second.parent == second.reply_to == first.external_id
    assert conversation.branches == [ImportedBranch("alt-1", "main", first.external_id)]
    assert conversation.skipped == [SkippedItem(r"s\ud800", r"odd \ud800")]
    assert second.llm_model is not None
    assert second.llm_model.startswith(r"\ud800m")
    assert len(second.llm_model) == 256
    # Texts are the importer's to repair and to count.
    assert (first.text, conversation.title) == (LONE, LONE)


def test_custom_facts_become_storable() -> None:
    moment = datetime(2024, 1, 1, tzinfo=UTC)
    facts = {"a": [LONE, {LONE: 1}], "moment": moment, "yes": True, "rank": 0.5, "naïve": "é"}
    conversation = fitted(ImportedConversation(external_id="c", custom=facts))
    expected = facts | {"a": [r"\ud800", {r"\ud800": 1}]}
    assert conversation.custom == expected


def test_the_largest_custom_facts_are_left_out() -> None:
    facts = {
        "largest": "x" * (MAX_CUSTOM_BYTES * 2),
        "small": 1,
        "large": ["x"] * MAX_CUSTOM_BYTES,
        "half": "é" * (MAX_CUSTOM_BYTES // 5),
        "other": "x" * (MAX_CUSTOM_BYTES // 2),
    }
    message = ImportedMessage(external_id="m", role="user", text="x", custom=dict(facts))
    conversation = fitted(ImportedConversation(external_id="c", messages=[message]))
    kept = {name: facts[name] for name in ("small", "half", "other")}
    assert conversation.messages[0].custom == kept | {"left_out": ["large", "largest"]}
