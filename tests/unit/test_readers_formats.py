from __future__ import annotations

from pathlib import Path

import pytest

from message_service import errors
from message_service.interchange.known_formats import FORMATS, guess, read_as
from message_service.interchange.reading.format import Format
from support.format_samples import SAMPLES


def sample(folder: Path, name: str) -> Path:
    path = folder / f"2012-03-24.{name}.raw.txt"
    path.write_text(SAMPLES[name])
    return path


def test_every_format_has_a_sample_and_reads_it(tmp_path: Path) -> None:
    assert {known.name for known in FORMATS} == set(SAMPLES)
    for known in FORMATS:
        assert len(list(known.read([sample(tmp_path, known.name)]))) == 1


@pytest.mark.parametrize("known", FORMATS, ids=lambda known: known.name)
@pytest.mark.parametrize("other", sorted(SAMPLES))
def test_a_file_of_another_format_is_named(tmp_path: Path, known: Format, other: str) -> None:
    path = sample(tmp_path, other)
    guessed = guess(path)
    assert guessed is not None
    assert guessed.name == other
    if other != known.name:
        with pytest.raises(errors.InvalidImport) as failed:
            list(read_as(known, [path]))
        assert failed.value.fix == f"It looks like {guessed.title}: import it as {other!r}"
        assert path.name in failed.value.problem


DAMAGED_FIRST: dict[str, str] = {
    "chatgpt": '[null, {"id": "b", "mapping": null}, {"id": "c", "mapping": {}}]',
    "openassistant": '{"prompt": {}}\n{"message_id": "b"}\n' + SAMPLES["openassistant"],
    "chitchat": '{"a": null, "b": {"messages": [1]}, ' + SAMPLES["chitchat"][1:],
}


@pytest.mark.parametrize(
    ("name", "unreadable"),
    [
        ("chatgpt", [True, False, False]),  # an entry without nodes is left out, not unreadable
        ("openassistant", [True, True, False]),
        ("chitchat", [True, True, False]),
    ],
)
def test_damaged_first_records_do_not_hide_the_others(
    tmp_path: Path, name: str, unreadable: list[bool]
) -> None:
    path = tmp_path / "file"
    path.write_text(DAMAGED_FIRST[name])
    known = next(known for known in FORMATS if known.name == name)
    assert [c.unreadable for c in known.read([path])] == unreadable


@pytest.mark.parametrize(("damaged", "refused"), [(19, False), (20, True)])
def test_many_damaged_records_are_another_format(
    tmp_path: Path, damaged: int, refused: bool
) -> None:
    path = tmp_path / "file"
    known = next(known for known in FORMATS if known.name == "openassistant")
    path.write_text("{}\n" * damaged + SAMPLES["openassistant"])
    if refused:
        with pytest.raises(errors.InvalidImport, match="is not a file of Open Assistant trees"):
            next(known.read([path]))
    else:
        assert len(list(known.read([path]))) == damaged + 1


def test_a_file_of_no_format_keeps_the_readers_advice(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("hello")
    assert guess(path) is None
    assert guess(tmp_path / "missing") is None
    for known in FORMATS:
        with pytest.raises(errors.InvalidImport) as failed:
            list(known.read([path]))
        assert "looks like" not in failed.value.fix
