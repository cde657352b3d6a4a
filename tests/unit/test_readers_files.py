"""What all readers share: finding files, gzip, encodings, damage, and bounded memory."""

from __future__ import annotations

import gzip
import json
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from message_service import errors
from message_service.interchange.formats.chatgpt import read as read_chatgpt
from message_service.interchange.reading import json_reading, sources


def failure(items: Iterator[Any]) -> tuple[list[Any], errors.InvalidImport]:
    """Return what was yielded before the error, and the error."""
    seen: list[Any] = []
    with pytest.raises(errors.InvalidImport) as failed:  # noqa: PT012
        while True:
            seen.append(next(items))
    return seen, failed.value


@pytest.fixture
def make(tmp_path: Path) -> Callable[[bytes], Path]:
    def made(content: bytes) -> Path:
        path = tmp_path / "file.json"
        path.write_bytes(content)
        return path

    return made


Make = Callable[[bytes], Path]


@pytest.mark.parametrize(
    ("content", "before", "problem"),
    [
        (b"", [], "is empty"),
        (b"   \n", [], "is truncated: it ends after 4 characters"),
        (b"hello", [], "is not JSON at character 1"),
        (b"\xff\xfe[\x00", [], "is not UTF-8 at byte 1"),
        (b"PK\x03\x04rest", [], "is a ZIP archive"),
        (b"[1, 2, ", [1, 2], "is truncated: it ends after 7 characters"),
        (b'[1, {"a": "never', [1], "is truncated: it ends after 16 characters"),
        (b'[1, {"a": "cut \xc3', [1], "is truncated"),
        (b'[1, {"a": "b\xffc"}, 2]', [1], "is not UTF-8 at byte 13"),
        (b"[1, x]", [1], "is not JSON at character 5"),
        (b"[1 2]", [1], "is not JSON at character 4"),
        (b"[1,]", [1], "is not JSON at character 4"),
        (b"[1] 2", [1], "has more text after the end"),
        (b"[" * 100_000, [], "is nested too deeply at character 2"),
        (b'{"a": 1}', [], "holds an object where a list"),
        (b"[1, " + b"9" * 5_000 + b"]", [1], "cannot be read at character 5"),
    ],
)
def test_broken_arrays(make: Make, content: bytes, before: list[Any], problem: str) -> None:
    seen, error = failure(json_reading.array_items(make(content)))
    assert seen == before
    assert problem in error.problem
    assert error.problem.startswith("file.json ")
    assert error.field == "path"
    assert error.fix


@pytest.mark.parametrize(
    ("content", "before", "problem"),
    [
        (b"[]", [], "holds a list where an object"),
        (b'{"a": 1, 2: 3}', [("a", 1)], "is not JSON at character 11"),
        (b'{"a" 1}', [], "is not JSON at character 6"),
        (b'{"a": 1, "b": ', [("a", 1)], "is truncated"),
    ],
)
def test_broken_objects(make: Make, content: bytes, before: list[Any], problem: str) -> None:
    seen, error = failure(json_reading.object_items(make(content)))
    assert seen == before
    assert problem in error.problem


@pytest.mark.parametrize(
    ("content", "before", "problem"),
    [
        (b'{"a": 1}\n\n{"b":', [(1, {"a": 1})], "is not JSON at line 3, column 6"),
        (b'{"a": 1}\n[1]\n', [(1, {"a": 1})], "holds a list instead of a JSON object in line 2"),
        (b"\n \r\n", [], "holds no record"),
        (b'{"a": 1}\n{"b": "\xff"}\n', [(1, {"a": 1})], "is not UTF-8 at byte 8 of line 2"),
        (b'{"a": ' + b"[" * 100_000, [], "is nested too deeply at line 1"),
        (b'{"a": ' + b"9" * 5_000 + b"}", [], "cannot be read at line 1"),
    ],
)
def test_broken_lines(make: Make, content: bytes, before: list[Any], problem: str) -> None:
    seen, error = failure(json_reading.json_lines(make(content)))
    assert seen == before
    assert problem in error.problem


def test_text_arrives_exactly_as_written(make: Make) -> None:
    # ijson's fast back end makes '?' of the first, swallows a letter of the second and fails on
    # the third.
    content = rb'["x\ud800y", "\ud800\u0041", "\udc00", "\ud83d\ude00", "\u0000 \r\u2028 "]'
    assert list(json_reading.array_items(make(content))) == [
        "x\ud800y",
        "\ud800A",
        "\udc00",
        "😀",
        "\0 \r\u2028 ",
    ]


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_byte_order_mark_and_gzip_are_seen_through(
    make: Make, pack: Callable[[bytes], bytes]
) -> None:
    path = make(pack(b'\xef\xbb\xbf{"a": 1}\r\n{"a": 2}'))
    assert list(json_reading.json_lines(path)) == [(1, {"a": 1}), (2, {"a": 2})]
    path = make(pack(b"\xef\xbb\xbf[]"))
    assert list(json_reading.array_items(path)) == []


def test_damaged_gzip_gives_what_came_before(make: Make) -> None:
    items = [{"number": n, "text": f"{n * 7919 % 104729:x}" * 40} for n in range(3_000)]
    packed = gzip.compress(json.dumps(items).encode())
    half = packed[: len(packed) // 2]
    whole = zlib.decompressobj(wbits=31).decompress(half).count(b"}")
    seen, error = failure(json_reading.array_items(make(half)))
    assert whole > 1_000
    assert seen == items[:whole]
    assert "ends in the middle of its gzip data" in error.problem

    flipped = bytearray(packed)
    flipped[len(packed) // 2] ^= 0xFF
    _, error = failure(json_reading.array_items(make(bytes(flipped))))
    assert "file.json" in error.problem

    packed = gzip.compress(b"".join(json.dumps(item).encode() + b"\n" for item in items))
    seen, error = failure(json_reading.json_lines(make(packed[: len(packed) // 2])))
    assert len(seen) > 1_000
    assert "ends in the middle of its gzip data" in error.problem


def test_only_line_feeds_end_lines(make: Make) -> None:
    path = make("a\x0b\x0c\x1c\x85\u2028b\rc\r\nd".encode())
    assert list(sources.lines(path)) == [(1, "a\x0b\x0c\x1c\x85\u2028b\rc"), (2, "d")]


def test_a_record_beyond_the_bound_is_refused(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MAX_RECORD_BYTES", 1_000)
    monkeypatch.setattr(sources, "_CHUNK_BYTES", 100)
    path = make(b'[{"a": 1}, {"a": "' + b"x" * 5_000 + b'"}]')
    seen, error = failure(json_reading.array_items(path))
    assert seen == [{"a": 1}]
    assert "in the record at character 12" in error.problem
    seen, error = failure(sources.lines(make(b"short\n" + b"x" * 5_000)))
    assert seen == [(1, "short")]
    assert "in line 2" in error.problem


def test_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(errors.InvalidImport, match=r"nowhere\.json does not exist"):
        sources.expand([tmp_path / "nowhere.json"], "*")
    with pytest.raises(errors.InvalidImport, match="no file is given"):
        sources.expand([], "*")
    with pytest.raises(errors.InvalidImport, match=r"holds no \*\.a or \*\.b"):
        sources.expand([tmp_path], "*.a", "*.b")
    with pytest.raises(errors.InvalidImport, match=r"path: \. holds no nothing"):
        sources.expand([Path()], "nothing")


def test_names_no_system_takes(tmp_path: Path) -> None:
    with pytest.raises(errors.InvalidImport, match=r"x{120}\.\.\. cannot be opened") as failed:
        sources.expand([tmp_path / ("x" * 4_000)], "*")
    assert len(failed.value.message) < 300
    with pytest.raises(errors.InvalidImport, match="cannot be opened"):
        next(sources.chunks(tmp_path / "a\0b"))
    with pytest.raises(errors.InvalidImport, match=r"a\\udcff does not exist"):
        sources.expand([tmp_path / "a\udcff"], "*")


def test_folders_give_each_file_once_packed_or_not(tmp_path: Path) -> None:
    for name in ("2.b", "1.b.gz", "2.b.gz", "other"):
        (tmp_path / name).touch()
    expected = [tmp_path / "1.b.gz", tmp_path / "2.b"]
    assert sources.expand([tmp_path], "*.a", "*.b") == expected
    (tmp_path / "0.a").touch()
    assert sources.expand([tmp_path], "*.a", "*.b") == [tmp_path / "0.a"]


def test_memory_holds_one_conversation_of_a_large_export(tmp_path: Path) -> None:
    path = tmp_path / "conversations.json"
    nodes = [f"node-{n}" for n in range(30)]
    mapping = {
        node: {
            "id": node,
            "parent": parent,
            "children": [],
            "message": {
                "author": {"role": "user"},
                "content": {"content_type": "text", "parts": [f"{node} é " * 300]},
            },
        }
        for parent, node in pairwise([None, *nodes])
    }
    conversation = json.dumps({"id": "c", "mapping": mapping, "current_node": nodes[-1]})
    copies = 60_000_000 // len(conversation)
    with path.open("w") as file:
        file.write("[" + conversation)
        for _ in range(copies - 1):
            file.write("," + conversation)
        file.write("]")
    del mapping, conversation
    assert path.stat().st_size > 59_000_000
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    read = sum(len(found.messages) for found in read_chatgpt([path]))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert read == copies * 30
    assert peak - before < 10_000_000
