"""The command line: thin commands over the library."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer
from typer.main import get_command

from message_service import errors
from message_service.cli import (
    analytics,
    attachments,
    backup,
    characters,
    chat,
    conversations,
    db,
    demo,
    generation,
    jobs,
    llm,
    messages,
    prices,
    restoring,
    search,
    server,
    transfer,
    usage,
    worker,
)
from message_service.cli.context import make_target, print_json, print_table, target_of
from message_service.cli.naming import name_options
from message_service.cli.output import OutputFailed, take_over
from message_service.cli.running import Interrupted, collect_rarely

app = typer.Typer(
    name="message-service",
    help="The message store for LLM and character-chat applications on MongoDB.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    epilog="Exit codes: 0 done, 2 bad input, 3 not found, 4 conflict, 5 the database differs from "
    "the catalogue, 6 unavailable, 7 unsupported, 8 not allowed, 9 storage full, 10 local server, "
    "11 import or export incomplete, 12 usage differs, 13 job failed, 14 summaries differ, 15 no "
    "usable reply of a provider, 16 backup damaged, 17 not recoverable, 130 stopped by Ctrl-C and "
    "143 by SIGTERM with work left, 1 "
    "anything else, such as output that cannot be written (a closed pipe is no failure).",
)
app.add_typer(server.app, name="server", help="The local mongod.")
app.add_typer(db.app, name="db", help="The database's catalogue: plan, apply, drift.")
app.add_typer(conversations.app, name="conversations", help="Create, list, check conversations.")
app.add_typer(search.app, name="search", help="Search messages; index, check and watch the index.")
app.add_typer(attachments.app, name="attachments", help="Store and fetch files of messages.")
app.add_typer(usage.app, name="usage", help="What messages used and cost.")
app.add_typer(jobs.app, name="jobs", help="Jobs: list, show, enqueue, retry, cancel, watch.")
app.add_typer(prices.app, name="prices", help="What tokens cost: load, list, show, missing.")
app.add_typer(characters.app, name="characters", help="Who models play: set, show, list, delete.")
app.add_typer(
    generation.app, name="generation", help="Replies: request, follow, cancel, preview; providers."
)
app.add_typer(llm.app, name="llm", help="A small model on this machine, for OpenAI clients.")
app.command("append")(messages.append)
app.command("history")(messages.history)
app.command("context")(messages.context)
app.command("import")(transfer.import_command)
app.command("import-langchain")(transfer.import_langchain_command)
app.command("export")(transfer.export_command)
app.command("demo")(demo.demo)
app.command("chat")(chat.chat)
app.command("worker")(worker.worker)
app.command("restore")(restoring.restore)

app.add_typer(
    analytics.app, name="analytics", help="Summaries by day, week, month: rollup, check, report."
)
app.add_typer(
    backup.app, name="backup", help="Backups: run, list, show, verify, window, prune, keygen."
)
config = typer.Typer(no_args_is_help=True)
app.add_typer(config, name="config", help="The settings in force.")


@app.callback()
def root(
    context: typer.Context,
    uri: Annotated[
        str | None,
        typer.Option(envvar="MESSAGE_SERVICE_URI", help="MongoDB; without it, the local server."),
    ] = None,
    database: Annotated[
        str | None, typer.Option(envvar="MESSAGE_SERVICE_DATABASE", help="Database name.")
    ] = None,
    tenant: Annotated[
        str, typer.Option(envvar="MESSAGE_SERVICE_TENANT", help="Tenant to work in.")
    ] = "default",
) -> None:
    """Read the options common to all commands."""
    context.obj = make_target(uri, database, tenant)


@config.command("show")
def show(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Show every setting, its value and meaning; secrets are hidden."""
    settings = target_of(context).settings
    rows = [
        (f"MESSAGE_SERVICE_{name.upper()}", getattr(settings, name), field.description)
        for name, field in type(settings).model_fields.items()
    ]
    if as_json:
        print_json({name: value for name, value, _ in rows})
    else:
        print_table("Settings", ("variable", "value", "meaning"), rows)


def main() -> None:
    """Run a command; an error is one line on stderr and its exit code."""
    output = take_over()
    collect_rarely()
    root: Any = get_command(app)
    name_options(root)
    code = _exit_code(lambda: root(standalone_mode=False))
    try:
        output.check()
    except OutputFailed as failed:
        code = code or _say(failed)
    sys.exit(code)


def _exit_code(command: Callable[[], object]) -> int:
    try:
        code = command()
    except (errors.MessageServiceError, OutputFailed) as error:
        return _say(error)
    except typer.TyperException as error:
        if type(error).__name__ != "NoArgsIsHelpError":  # then the help was printed already
            _error(" ".join(error.format_message().split()))
        return error.exit_code
    except typer.Abort:
        _error("aborted")
        return 1
    except Interrupted as interrupted:
        sys.stderr.write(f"{interrupted.message}\n")
        return interrupted.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return 130
    return code if isinstance(code, int) else 0


def _say(error: errors.MessageServiceError | OutputFailed) -> int:
    _error(error.message)
    return error.exit_code


def _error(message: str) -> None:
    sys.stderr.write(f"error: {message}\n")


__all__ = ["app", "main"]
