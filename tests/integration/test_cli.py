"""The command line, as a user calls it: output, exit codes, one line of error."""

import json
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.asynchronous.database import AsyncDatabase

from support.shell import Cli

USER = "user_000000000001"


@pytest.fixture
def cli(mongo_uri: str, database: AsyncDatabase[dict[str, Any]], tmp_path: Path) -> Cli:
    return Cli(mongo_uri, database.name, tmp_path)


def test_a_conversation_from_the_shell(cli: Cli, tmp_path: Path) -> None:
    conversation = cli("conversations", "create", USER, "--title", "Luna").strip()
    first = cli.json("append", conversation, "Hello Luna!", "--client-msg-id", "k")
    assert (first["sequence_number"], first["duplicate"]) == (1, False)
    assert "stored before" in cli("append", conversation, "Hello Luna!", "--client-msg-id", "k")
    error = cli("append", conversation, "Other", "--client-msg-id", "k", code=4)
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    cli("append", conversation, "-", "--role", "assistant", text="from\nstdin")
    rows = cli.json("history", conversation)
    assert [m["content"]["text"] for m in rows["messages"]] == ["Hello Luna!", "from\nstdin"]
    assert "Hello Luna!" in cli("history", conversation, "--all")
    around = cli.json("history", conversation, "--around", first["message_id"])
    assert len(around["messages"]) == 2
    page = cli.json("history", conversation, "--limit", 1, "--backward")
    assert page["messages"][0]["sequence_number"] == 2
    rest = cli.json("history", conversation, "--backward", "--cursor", page["next"])
    assert rest["messages"][0]["sequence_number"] == 1
    window = cli.json("context", conversation, "--budget", 100)
    assert len(window["messages"]) == 2
    assert "2 messages" in cli("context", conversation)
    assert cli.json("conversations", "list")["conversations"][0]["title"] == "Luna"
    assert "main" in cli("conversations", "show", conversation)
    assert cli.json("conversations", "verify", conversation)["complete"]
    export = tmp_path / "export.jsonl"
    cli("export", export)
    report = cli.json("--tenant", "copy", "import", "jsonl", export)
    assert (report["complete"], report["stored"]) == (True, 2)
    assert cli("--tenant", "copy", "export", "-") == export.read_text()


def test_errors_are_one_line_with_an_exit_code(cli: Cli, tmp_path: Path) -> None:
    conversation = cli("conversations", "create", USER).strip()
    missing = "conv_000000000404"
    for words, code, said in (
        (("history", "conv_1"), 2, "CONVERSATION: "),
        (("history", missing), 3, missing),
        (("append", missing, "x"), 3, missing),
        (("append", conversation, ""), 2, "TEXT: "),
        (("append", conversation, "x", "--role", "narrator"), 2, "--role: "),
        (("append", conversation, "x", "--parent", "msg_000000000404"), 3, "msg_000000000404"),
        (("history", conversation, "--cursor", "AAAA"), 2, "--cursor: "),
        (("history", conversation, "--limit", "0"), 2, "--limit"),
        (("context", conversation, "--budget", "0"), 2, "--budget"),
        (("--tenant", "NO", "history", conversation), 2, "--tenant (MESSAGE_SERVICE_TENANT): "),
        (("import", "pigeon", "x"), 2, "FORMAT: "),
        (("import", "chitchat", tmp_path / "none.json"), 11, "none.json"),
        (("export", tmp_path / "no" / "dir.jsonl"), 2, "OUTPUT: "),
        (("export", tmp_path / "x.jsonl", "--conversation", missing), 3, missing),
        (("--uri", "postgres://x", "history", conversation), 2, "--uri (MESSAGE_SERVICE_URI): "),
    ):
        error = cli(*words, code=code)
        assert said in error.splitlines()[-1], (words, error)
    assert not (tmp_path / "x.jsonl").exists()


def test_no_server(cli: Cli) -> None:
    error = cli(
        "conversations",
        "list",
        code=6,
        MESSAGE_SERVICE_URI="mongodb://127.0.0.1:9/?replicaSet=x",
        MESSAGE_SERVICE_SERVER_SELECTION_TIMEOUT="0.2",
    )
    assert "no usable MongoDB server" in error


def test_a_password_is_never_shown(cli: Cli) -> None:
    secret = "mongodb://u:hunter2@127.0.0.1:9/?replicaSet=x"
    for words, code in ((("conversations", "list"), 6), (("config", "show"), 0)):
        said = cli(
            *words,
            code=code,
            MESSAGE_SERVICE_URI=secret,
            MESSAGE_SERVICE_SERVER_SELECTION_TIMEOUT="0.2",
        )
        assert "hunter2" not in said


def test_wrong_settings(cli: Cli) -> None:
    assert "MESSAGE_SERVICE_MAX_POOL_SIZE: " in cli(
        "conversations", "list", code=2, MESSAGE_SERVICE_MAX_POOL_SIZE="many"
    )


def test_settings_are_all_shown(cli: Cli) -> None:
    shown = cli.json("config", "show")
    assert "MESSAGE_SERVICE_APPEND_BATCH" in shown


def test_an_import_report_file(cli: Cli, tmp_path: Path) -> None:
    source = tmp_path / "set.json"
    source.write_text(
        json.dumps(
            {
                "one": {
                    "messages": [
                        [
                            {"text": "a", "timestamp": "2018-05-02T19:38:15Z", "sender": "x"},
                            {"text": "y" * 60_000, "timestamp": None, "sender": "x"},
                        ]
                    ]
                },
                "two": None,
            }
        )
    )
    report = tmp_path / "report.jsonl"
    error = cli("import", "chitchat", source, "--report", report, code=11)
    assert "incomplete" in error
    lines = [json.loads(text) for text in report.read_text().splitlines()]
    found = {line["external_id"]: line for line in lines}
    assert (found["one"]["stored"], found["one"]["split"], found["one"]["failed"]) == (2, 1, {})
    assert found["two"]["stored"] == 0
    assert list(found["two"]["failed"].values()) == [1]


def test_histories_of_langchain(cli: Cli, mongo_uri: str) -> None:
    error = cli("import-langchain", "nowhere.nothing", "--from", mongo_uri, code=11)
    assert "nothing.jsonl is empty" in error
    error = cli("import-langchain", "nothing", "--from", mongo_uri, code=2)
    assert "database.collection" in error


def test_a_loop_is_seen_paused_and_resumed(cli: Cli) -> None:
    def loop() -> dict[str, object]:
        found, *_ = json.loads(cli("db", "status", "--json"))["loops"]
        return found

    assert (loop()["name"], loop()["state"]) == ("search_indexer", "idle")
    assert "paused" in cli("db", "pause", "search_indexer")
    assert loop()["state"] == "paused"
    assert "search_indexer" in cli("db", "status")
    assert "may run" in cli("db", "resume", "search_indexer")
    assert loop()["state"] == "idle"
    assert "Name one of: search_indexer, usage_counting" in cli("db", "pause", "kettle", code=2)


def test_search_from_the_shell(cli: Cli) -> None:
    conversation = cli("conversations", "create", USER).strip()
    for text in ("Napoli pizza with cheese", "bread with cheese", "[bold]no markup[/bold] pizza"):
        cli("append", conversation, text)
    assert "nobody" not in cli("search", "status")
    assert "none runs" in cli("search", "status")
    behind = cli("search", "pizza", "--conversation", conversation)
    assert "0 found" in behind
    assert "searchable up to message 0" in behind
    error = cli(
        *("search", "pizza", "--conversation", conversation, "--min-sequence", 3, "--wait", 0),
        code=6,
    )
    assert "searchable up to message 0, not yet 3" in error
    assert cli("search", "index", "--once").startswith("3 indexed")
    shown = cli("search", "pizza", "-cheese", "--conversation", conversation, code=2)
    assert shown  # a dash is an option unless it comes after --
    shown = cli("search", "--conversation", conversation, "--", "pizza", "-cheese")
    assert "[bold]no markup[/bold] pizza" in shown
    assert "1 found" in shown
    assert "proximity" in cli("search", "query", "pizza", "--user", USER, "--explain")
    answer = cli.json("search", "cheese", "--all")
    assert answer["count"] == {"value": 2, "exact": True}
    assert answer["freshness"]["complete"]
    [start, end] = answer["hits"][0]["snippet"]["highlights"][0]
    assert answer["hits"][0]["snippet"]["text"][start:end] == "cheese"
    first = cli.json("search", "cheese", "--all", "--limit", 1)
    second = cli.json("search", "cheese", "--all", "--limit", 1, "--cursor", first["next"])
    assert first["hits"][0]["message_id"] != second["hits"][0]["message_id"]
    assert cli.json("search", "pizza", "--all-tenants", "--admin")[0]["tenant_id"] == "default"
    for words, said in (
        (("pizza",), "scope"),
        (('"pizza', "--all"), "quotation mark"),
        (("pizza colour:red", "--all"), "unknown filter"),
        (("x" * 10_000, "--all"), "characters"),
        (("pizza", "--all", "--cursor", "abc"), "cursor"),
        (("pizza", "--all-tenants"), "admin"),
    ):
        error = cli("search", *words, code=2)
        assert said in error, error
        assert error.count("\n") == 1
    assert "nothing to look for" in cli("search", "the of", "--all")
    assert cli.json("search", "check")["clean"]


def test_search_check_from_the_shell(cli: Cli, mongo_uri: str) -> None:
    conversation = cli("conversations", "create", USER).strip()
    cli("append", conversation, "pizza")
    cli("search", "index", "--once")
    with MongoClient[dict[str, Any]](mongo_uri) as client:
        index = client[cli.environment["MESSAGE_SERVICE_DATABASE"]]["message_search_index"]
        index.delete_many({})
    error = cli("search", "check", code=5)
    assert "repair" in error
    assert "1 missing" in cli("search", "check", "--repair")
    cli("search", "index", "--once")
    assert cli.json("search", "check")["entries"] == 1
