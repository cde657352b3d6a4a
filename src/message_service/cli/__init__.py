"""The command line: thin commands over the library."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from message_service import errors
from message_service.cli import conversations, db, demo, messages, search, server, transfer
from message_service.cli.context import make_target, print_json, print_table, target_of
from message_service.cli.running import Interrupted

app = typer.Typer(
    name="message-service",
    help="The message store for LLM and character-chat applications on MongoDB.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    epilog="Exit codes: 0 done, 2 bad input, 3 not found, 4 conflict, 5 the database differs from "
    "the catalogue, 6 unavailable, 7 unsupported, 8 not allowed, 9 storage full, 10 local server, "
    "11 import or export incomplete, 130 stopped by Ctrl-C and 143 by SIGTERM with work left, "
    "1 anything else.",
)
app.add_typer(server.app, name="server", help="The local mongod.")
app.add_typer(db.app, name="db", help="The database's catalogue: plan, apply, drift.")
app.add_typer(conversations.app, name="conversations", help="Create, list, check conversations.")
app.add_typer(search.app, name="search", help="Search messages; index, check and watch the index.")
app.command("append")(messages.append)
app.command("history")(messages.history)
app.command("context")(messages.context)
app.command("import")(transfer.import_command)
app.command("export")(transfer.export_command)
app.command("demo")(demo.demo)

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
        print_json({name: str(value) for name, value, _ in rows})
    else:
        print_table("Settings", ("variable", "value", "meaning"), rows)


def main() -> None:
    """Run a command; an error is one line on stderr and its exit code."""
    try:
        app()
    except errors.MessageServiceError as error:
        sys.stderr.write(f"error: {error.message}\n")
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.exit(0)
    except Interrupted as interrupted:
        sys.stderr.write(f"{interrupted.message}\n")
        sys.exit(interrupted.exit_code)
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(130)


__all__ = ["app", "main"]
