"""Errors in the words of the command line, and small promises of single commands."""

import json
from pathlib import Path
from typing import Any

import pytest
from pymongo.asynchronous.database import AsyncDatabase

from support.shell import NOWHERE, Cli

USER = "user_000000000001"


@pytest.mark.parametrize(
    "name", ["a b", "admin", "Local", "a/b", "a.b", 'a"b', "a$b", "", "é" * 32]
)
def test_a_database_name_the_server_would_refuse(tmp_path: Path, name: str) -> None:
    cli = Cli(NOWHERE, "x", tmp_path)
    error = cli("--database", name, "conversations", "list", code=2)
    assert error.startswith("error: --database (MESSAGE_SERVICE_DATABASE): ")
    assert error.count("\n") == 1


def test_json_of_another_shape_is_not_called_no_json(tmp_path: Path, cli: Cli) -> None:
    source = tmp_path / "x.jsonl"
    for value, found in (([{"a": 1}], "a list"), ({"a": 1}, "an object")):
        source.write_text(json.dumps(value, indent=2))
        error = cli("import", "openassistant", source, code=11)
        assert "not JSON" not in error
        assert f"holds {found} over several lines where one JSON object a line" in error


def test_errors_name_options(cli: Cli) -> None:
    assert "--admin" in (error := cli("search", "x", "--all-tenants", code=2))
    assert "admin=True" not in error
    assert "--all." in (error := cli("search", "x", code=2)).replace("--all\n", "--all.\n")
    assert "user_id" not in error
    assert "whole_tenant" not in error


def test_small_promises(cli: Cli, tmp_path: Path) -> None:
    assert cli.json("config", "show")["MESSAGE_SERVICE_SERVER_API"] is None
    assert "nonexistent" in cli("demo", tmp_path / "nonexistent", code=11).splitlines()[-1]
    made = cli("conversations", "create", USER).strip()
    ids = [cli.json("append", made, f"m{n}")["message_id"] for n in range(3)]
    for limit in (1, 2, 3):
        page = cli.json("history", made, "--around", ids[1], "--limit", limit)["messages"]
        assert len(page) == limit
        assert ids[1] in [message["message_id"] for message in page]


@pytest.fixture
def cli(mongo_uri: str, database: AsyncDatabase[dict[str, Any]], tmp_path: Path) -> Cli:
    return Cli(mongo_uri, database.name, tmp_path)
