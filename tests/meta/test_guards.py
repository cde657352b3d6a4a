"""The guards of the suite itself: a hanging test fails and is shown, nothing is left running."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

from support.machine import runs
from support.waiting import ended, until

ROOT = Path(__file__).parents[2]
SAMPLES = "tests/meta/guard_samples.py"


def command(directory: Path, *tests: str) -> list[str]:
    """Return the command that runs some samples, whose files go with this test's own."""
    chosen = [f"{SAMPLES}::{test}" for test in tests]
    options = ["-q", "-p", "no:cacheprovider", "--basetemp", str(directory / "samples")]
    return [sys.executable, "-m", "pytest", *options, *chosen]


def run(words: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words,
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )


def test_a_hanging_test_fails_with_its_stacks_and_the_run_goes_on(tmp_path: Path) -> None:
    done = run(
        [
            *command(tmp_path, "test_waits_for_ever", "test_loops_for_ever", "test_comes_after"),
            *("--timeout", "1"),
        ]
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "2 failed, 1 passed" in done.stdout
    assert "test_waits_for_ever did not end in 1 s" in done.stdout
    # The stack of the waiting task, down to what it waits for.
    assert "Task the deep one" in done.stdout
    assert "test_waits_for_ever.<locals>.deep" in done.stdout
    assert "Event.wait" in done.stdout


def test_a_process_left_behind_fails_the_run_and_is_ended(tmp_path: Path) -> None:
    done = run(command(tmp_path, "test_leaves_a_process"))
    assert done.returncode == 1, done.stdout + done.stderr
    [line] = [line for line in done.stdout.splitlines() if "LEFT BEHIND" in line]
    assert line.endswith("sleep 1234")
    assert not runs(line.split()[-3])


async def test_a_killed_run_leaves_no_server(tmp_path: Path) -> None:
    said = tmp_path / "pid"
    killed = await asyncio.create_subprocess_exec(
        *command(tmp_path, "test_starts_a_server_and_stays"),
        cwd=ROOT,
        env={**os.environ, "SERVER_PID_FILE": str(said)},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    await until("the sample's server to start", said.exists)
    pid = await until("its process id", said.read_text)
    assert runs(pid)
    killed.kill()
    await ended(killed, "the killed test run")
    await until("the server to be ended", lambda: not runs(pid))


def test_a_run_without_its_server_ends_at_once(tmp_path: Path) -> None:
    done = run(
        command(tmp_path, "test_kills_the_server", "test_needs_the_server", "test_comes_after")
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "the tests' MongoDB" in done.stdout + done.stderr
    assert "1 passed" in done.stdout
    assert "failed" not in done.stdout


def test_a_run_on_a_full_disk_ends_before_it_begins(tmp_path: Path, small_disk: Path) -> None:
    done = run(command(tmp_path, "test_comes_after"), TMPDIR=str(small_disk))
    assert done.returncode == 4, done.stdout + done.stderr
    [line] = [line for line in done.stderr.splitlines() if "GiB" in line]
    assert f"GiB free in {small_disk}" in line
    assert "TMPDIR" in line


def test_data_of_a_passed_test_is_removed_and_of_a_failed_one_kept(tmp_path: Path) -> None:
    words = command(tmp_path, "test_keeps_a_file")
    run(words, SAMPLE_FAILS="")
    assert list((tmp_path / "samples").rglob("file")) == []
    run(words, SAMPLE_FAILS="yes")
    assert len(list((tmp_path / "samples").rglob("file"))) == 1


def test_a_connection_left_to_the_garbage_collector_fails_its_test_but_for_the_drivers(
    tmp_path: Path,
) -> None:
    done = run(command(tmp_path, "test_the_driver_leaves_connections", "test_leaves_a_connection"))
    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 failed, 1 passed" in done.stdout
    assert "unclosed transport" in done.stdout
