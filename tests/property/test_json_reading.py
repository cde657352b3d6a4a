"""Reading JSON through a window, however small, gives what the standard library gives."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from message_service import errors
from message_service.interchange.reading import sources
from message_service.interchange.reading.json_reading import array_items, object_items

TEXT = st.text(st.characters(codec=None, categories=None), max_size=12)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
SAME_FUNCTION = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "file.json"


def write(path: Path, value: Any, chunk: int, monkeypatch: pytest.MonkeyPatch, **how: Any) -> None:
    text = json.dumps(value, **how)
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    monkeypatch.setattr(sources, "_CHUNK_BYTES", chunk)


@SAME_FUNCTION
@given(st.lists(VALUES, max_size=5), st.integers(1, 40), st.sampled_from([None, 2]))
def test_arrays(
    file: Path, monkeypatch: pytest.MonkeyPatch, value: list[Any], chunk: int, indent: int | None
) -> None:
    write(file, value, chunk, monkeypatch, indent=indent)
    assert list(array_items(file)) == value


@SAME_FUNCTION
@given(st.dictionaries(TEXT, VALUES, max_size=5), st.integers(1, 40))
def test_objects(
    file: Path, monkeypatch: pytest.MonkeyPatch, value: dict[str, Any], chunk: int
) -> None:
    write(file, value, chunk, monkeypatch)
    assert dict(object_items(file)) == value


@SAME_FUNCTION
@given(st.lists(VALUES, min_size=1, max_size=4), st.integers(1, 40), st.data())
def test_a_file_cut_anywhere_gives_its_whole_items_and_then_an_error(
    file: Path, monkeypatch: pytest.MonkeyPatch, value: list[Any], chunk: int, data: st.DataObject
) -> None:
    write(file, value, chunk, monkeypatch)
    whole = file.read_bytes()
    file.write_bytes(whole[: data.draw(st.integers(1, len(whole) - 1))])
    items = array_items(file)
    seen: list[Any] = []
    with pytest.raises(errors.InvalidImport, match=r"file\.json"):  # noqa: PT012
        while True:
            seen.append(next(items))
    # A number cut short is still a number; all others are whole.
    whole_items = seen[:-1] if seen and isinstance(seen[-1], (int, float)) else seen
    assert whole_items == value[: len(whole_items)]
