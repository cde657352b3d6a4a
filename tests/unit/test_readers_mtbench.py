from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from message_service import errors
from message_service.interchange.formats.mtbench import read

QUESTION = {"question_id": 81, "category": "writing", "turns": ["q one", "q two"]}


def answer(model: str, *turns: str, question: int = 81, **more: Any) -> dict[str, Any]:
    return {
        "question_id": question,
        "answer_id": f"id-{model}",
        "model_id": model,
        "choices": [{"index": 0, "turns": list(turns)}],
        "tstamp": 1686286924.844282,
    } | more


def jsonl(*records: Any) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


def folder(path: Path, questions: list[Any], **answers: list[Any]) -> Path:
    (path / "model_answer").mkdir()
    (path / "reference_answer").mkdir()
    (path / "question.jsonl").write_text(jsonl(*questions))
    (path / "reference_answer" / "ref.jsonl").write_text(jsonl(answer("ref", "x", "y")))
    for name, records in answers.items():
        (path / "model_answer" / f"{name}.jsonl").write_text(jsonl(*records))
    return path


def test_models_share_the_question_and_branch(tmp_path: Path) -> None:
    root = folder(
        tmp_path,
        [QUESTION | {"reference": ["r1", "r2"]}],
        zed=[answer("zed v1 (beta)", "z1", "z2")],
        upper=[answer("Alpha", "a1", "a2")],
    )
    (conversation,) = read([root])
    assert conversation.external_id.startswith("81-")
    assert conversation.title == "writing 81"
    assert conversation.created_at == datetime(2023, 6, 9, 5, 2, 4, 844000, UTC)
    assert conversation.custom == {
        "question_id": "81",
        "category": "writing",
        "reference": ["r1", "r2"],
    }
    assert [(m.external_id, m.role, m.text, m.branch) for m in conversation.messages] == [
        ("81:q1", "user", "q one", "main"),
        ("id-Alpha:a1", "assistant", "a1", "main"),
        ("id-Alpha:q2", "user", "q two", "main"),
        ("id-Alpha:a2", "assistant", "a2", "main"),
        ("id-zed v1 (beta):a1", "assistant", "z1", "zed-v1-beta-"),
        ("id-zed v1 (beta):q2", "user", "q two", "zed-v1-beta-"),
        ("id-zed v1 (beta):a2", "assistant", "z2", "zed-v1-beta-"),
    ]
    (branch,) = conversation.branches
    assert (branch.parent, branch.fork) == ("main", "81:q1")
    question, first, second, _ = conversation.messages[:4]
    assert (question.created_at, question.llm_model) == (None, None)
    assert (second.created_at, second.llm_model) == (None, None)
    assert (first.created_at, first.llm_model) == (conversation.created_at, "Alpha")
    assert first.custom == {"answer_file": "upper"}


def test_files_may_be_named_one_by_one_in_any_order(tmp_path: Path) -> None:
    packed = tmp_path / "a.jsonl.gz"
    packed.write_bytes(gzip.compress(jsonl(answer("m", "1", "2")).encode()))
    questions = tmp_path / "q.jsonl"
    questions.write_text(jsonl(QUESTION))
    (conversation,) = read([packed, questions])
    assert [m.text for m in conversation.messages] == ["q one", "1", "q two", "2"]
    assert conversation.messages[1].custom == {"answer_file": "a"}


def test_empty_answers_are_skipped_and_the_thread_goes_on(tmp_path: Path) -> None:
    root = folder(
        tmp_path, [QUESTION], a=[answer("a", "1", "2")], b=[answer("b", "", "2", answer_id="B")]
    )
    (conversation,) = read([root])
    of_b = [m for m in conversation.messages if m.branch == "b"]
    assert [(m.external_id, m.parent) for m in of_b] == [("B:q2", "81:q1"), ("B:a2", "B:q2")]
    assert [(s.external_id, s.reason) for s in conversation.skipped] == [("B:a1", "empty text")]


def test_several_choices_are_several_branches(tmp_path: Path) -> None:
    choices = [{"turns": ["one"]}, {"turns": ["two", "three"]}]
    root = folder(tmp_path, [QUESTION], m=[answer("m", choices=choices)])
    (conversation,) = read([root])
    assert [(m.external_id, m.branch) for m in conversation.messages] == [
        ("81:q1", "main"),
        ("id-m:a1", "main"),
        ("id-m:q2", "main"),
        ("id-m.1:a1", "m"),
        ("id-m.1:q2", "m"),
        ("id-m.1:a2", "m"),
    ]


def test_what_does_not_fit_together_is_kept_or_listed(tmp_path: Path) -> None:
    root = folder(
        tmp_path,
        [QUESTION, {"question_id": 82, "turns": ["alone", "again"]}],
        m=[
            answer("m", "1", "2"),
            answer("m", "other", "2"),
            answer("none", choices=[]),
            answer("m", "to nobody", question=99, answer_id="lost"),
        ],
    )
    first, alone, lost = read([root])
    assert len(first.messages) == 4
    assert {(s.external_id, s.reason) for s in first.skipped} == {
        ("id-m", "same id as an earlier answer"),
        ("id-none", "no turns in the answer"),
    }
    assert [(m.external_id, m.branch) for m in alone.messages] == [
        ("82:q1", "main"),
        ("82:q2", "main"),
    ]
    assert [(m.text, m.custom) for m in lost.messages] == [("to nobody", {"orphaned": True})]
    assert [s.reason for s in lost.skipped] == ["the question's turns are missing"]


def test_variants_of_a_question_set_do_not_meet(tmp_path: Path) -> None:
    names: set[str] = set()
    for turns in (["hello"], ["こんにちは"]):
        file = tmp_path / "q.jsonl"
        file.write_text(jsonl(QUESTION | {"turns": turns}))
        names.update(c.external_id for c in read([file]))
    assert len(names) == 2


def test_many_answers_go_to_disk_and_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("message_service.interchange.formats.mtbench._MEMORY_BYTES", 100)
    numbers = range(200)
    root = folder(
        tmp_path,
        [{"question_id": n, "turns": [f"q{n}"]} for n in numbers],
        m=[answer("m", f"a{n} \ud800", question=n) for n in reversed(numbers)],
    )
    texts = [[m.text for m in c.messages] for c in read([root])]
    assert texts == [[f"q{n}", f"a{n} \ud800"] for n in numbers]


def test_errors(tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"
    for records, problem in (
        ([answer("m", "1")], "there is no question file"),
        ([QUESTION, QUESTION], "repeats question 81 in line 2"),
        ([{"prompt": {}}], "is neither a question nor an answer file"),
    ):
        file.write_text(jsonl(*records))
        with pytest.raises(errors.InvalidImport, match=problem):
            list(read([file]))
    file.write_text("\n\n")
    with pytest.raises(errors.InvalidImport, match="holds no record"):
        list(read([file]))
    with pytest.raises(errors.InvalidImport, match=r"holds no question\.jsonl"):
        list(read([tmp_path]))
    with pytest.raises(errors.InvalidImport, match="no file is given"):
        list(read([]))
    broken = folder(tmp_path, [QUESTION], m=[answer("m", "1")])
    (broken / "model_answer" / "m.jsonl").write_text(jsonl(answer("m", "1")) + '{"que')
    with pytest.raises(errors.InvalidImport, match=r"m\.jsonl is not JSON at line 2"):
        list(read([broken]))
