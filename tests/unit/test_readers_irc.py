from __future__ import annotations

import gzip
from datetime import UTC, datetime
from pathlib import Path

import pytest

from message_service import errors
from message_service.interchange.formats.irc import read
from message_service.interchange.reading.records import ImportedConversation

NAME = "2012-03-24.train-c"


def log(folder: Path, *lines: str, links: str | None = None) -> ImportedConversation:
    file = folder / f"{NAME}.raw.txt"
    file.write_text("".join(f"{line}\n" for line in lines), newline="")
    if links is not None:
        (folder / f"{NAME}.annotation.txt").write_text(links)
    (conversation,) = read([file])
    return conversation


def times(conversation: ImportedConversation) -> list[str]:
    moments = [m.created_at for m in conversation.messages]
    return [moment.strftime("%d %H:%M") for moment in moments if moment]


def test_lines_of_all_kinds(tmp_path: Path) -> None:
    conversation = log(
        tmp_path,
        "=== ann [~a@host]  has joined #ubuntu",
        "[09:14] <ann> hi\x02 \x0bthere\u2028 ",
        "[09:14]  * bob_ waves at <ann>",
        "[09:15] -bot:#ubuntu- read the rules",
        "[09:15] <ann>",
        "[09:15] <ann> ",
        "[09:15] <ann>   ",
        "",
        "[09:16] <|cid|>  two spaces",
        "[09:16]  * bob_",
    )
    assert (conversation.external_id, conversation.title) == (NAME, NAME)
    assert conversation.sender == "ann"
    assert conversation.created_at == datetime(2012, 3, 24, 9, 14, tzinfo=UTC)
    assert [(m.external_id, m.sender, m.text, m.custom) for m in conversation.messages] == [
        (f"{NAME}:1", "ann", "hi\x02 \x0bthere\u2028 ", {}),
        (f"{NAME}:2", "bob_", "waves at <ann>", {"action": True}),
        (f"{NAME}:6", "ann", "  ", {}),
        (f"{NAME}:8", "|cid|", " two spaces", {}),
    ]
    assert {m.role for m in conversation.messages} == {"user"}
    assert [(s.external_id, s.reason) for s in conversation.skipped] == [
        (f"{NAME}:0", "server notice"),
        (f"{NAME}:3", "channel notice"),
        (f"{NAME}:4", "empty text"),
        (f"{NAME}:5", "empty text"),
        (f"{NAME}:7", "not a line of chat"),
        (f"{NAME}:9", "empty text"),
    ]


def test_links(tmp_path: Path) -> None:
    conversation = log(
        tmp_path,
        "=== ann joined",
        *(f"[09:0{n}] <n{n}> text" for n in range(1, 6)),
        "=== ann left",
        links="1 1 -\n1 2 -\n1 4 -\n3 4 -\n2 4 -\n5 2 -\n0 3 -\n5 6 -\n0 0 -\n5 99 -\n",
    )
    assert [(m.external_id[-1], m.reply_to, m.custom) for m in conversation.messages] == [
        ("1", None, {"starts_thread": True}),
        ("2", f"{NAME}:1", {}),
        ("3", None, {"answers_lines": [0]}),
        ("4", f"{NAME}:3", {"also_answers": [f"{NAME}:2", f"{NAME}:1"]}),
        ("5", f"{NAME}:2", {}),
    ]
    assert conversation.custom == {"links_from_skipped_lines": 2}


def test_a_packed_log_with_packed_links(tmp_path: Path) -> None:
    (tmp_path / f"{NAME}.raw.txt.gz").write_bytes(gzip.compress(b"[10:00] <a> x\n[10:01] <b> y"))
    (tmp_path / f"{NAME}.annotation.txt.gz").write_bytes(gzip.compress(b"0 1 -"))
    (conversation,) = read([tmp_path])
    assert [m.reply_to for m in conversation.messages] == [None, f"{NAME}:0"]


@pytest.mark.parametrize(
    ("clock", "expected"),
    [
        # Twenty-four hours: midnight, and the same again; summer time ends without a new day.
        (["23:58", "00:01", "13:00", "02:00"], ["24 23:58", "25 00:01", "25 13:00", "26 02:00"]),
        (["13:59", "13:05", "13:06"], ["24 13:59", "24 13:05", "24 13:06"]),
        # Twelve hours: noon; midnight, which tells that it began after noon; both.
        (["11:59", "12:59", "01:00"], ["24 11:59", "24 12:59", "24 13:00"]),
        (["11:58", "00:03"], ["24 23:58", "25 00:03"]),
        (["12:59", "01:00", "11:59", "00:00"], ["24 12:59", "24 13:00", "24 23:59", "25 00:00"]),
    ],
)
def test_the_clock(tmp_path: Path, clock: list[str], expected: list[str]) -> None:
    assert times(log(tmp_path, *(f"[{time}] <a> x" for time in clock))) == expected


def test_a_log_of_notices_alone(tmp_path: Path) -> None:
    conversation = log(tmp_path, "=== ann joined", links="0 0 -\n")
    assert (conversation.messages, conversation.sender) == ([], None)


@pytest.mark.parametrize("name", ["log.raw.txt", "2012-02-30.x.raw.txt"])
def test_a_log_without_a_date_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("[10:00] <a> x\n")
    with pytest.raises(errors.InvalidImport, match="has no date in its name"):
        list(read([tmp_path]))
    (tmp_path / name).write_text("{}\n")
    with pytest.raises(errors.InvalidImport, match="is not an IRC log"):
        list(read([tmp_path]))


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.InvalidImport, match="is not an IRC log"):
        log(tmp_path, '{"question_id": 81}')
    with pytest.raises(errors.InvalidImport, match=r"annotation\.txt holds no link in line 2"):
        log(tmp_path, "[10:00] <a> x", links="0 0 -\nthread 1\n")
    (tmp_path / f"{NAME}.raw.txt").write_bytes(b"[10:00] <a> x\n[10:01] <a> caf\xe9\n")
    with pytest.raises(errors.InvalidImport, match="is not UTF-8 at byte 16 of line 2"):
        list(read([tmp_path]))
