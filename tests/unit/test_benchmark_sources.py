"""The benchmarks' texts, where the shared data is beside the checkout and where it is not."""

from pathlib import Path

import pytest
from benchmarks import sources

pytest.importorskip("chitchat_dataset")


def test_a_clone_without_shared_data_has_texts_and_says_what_is_skipped(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = sources.real_texts(tmp_path / "shared")
    assert len(texts) > 200_000
    assert sorted(texts) == sorted(one for one in sources.chitchat_texts() if one.strip())
    said = capsys.readouterr().out.splitlines()
    assert [line.split(" (")[0] for line in said] == [
        f"skipped: texts of {name}"
        for name in ("real-persona-chat", "xpersona", "irc-disentanglement")
    ]
    assert all("is not there" in line for line in said)


def test_judged_data_is_skipped_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "data" / "here").mkdir(parents=True)
    assert sources.available(tmp_path, "here", "x")
    assert not sources.available(tmp_path, "gone", "abuse")
    assert capsys.readouterr().out.startswith("skipped: abuse (")
