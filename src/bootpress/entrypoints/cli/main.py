"""The program `bootpress`. Exit codes: 0 done, 1 refused or failed, 2 called wrongly."""

from __future__ import annotations

import difflib
import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from bootpress.core.errors import BootpressError, InvalidInput, NotFound
from bootpress.entrypoints.cli import arguments, client, output
from bootpress.settings import Settings

FAILED, USAGE, INTERRUPTED = 1, 2, 130
CALL_HELP = """Call one operation of a running bootpress.

A field is written in one of these ways:

\b
field=value      text, a number or a truth value, whichever the field takes
field=@file      the content of a file; @- is standard input
field:=json      JSON as it is: a list, an object, null (clears a field)
outer.inner=…    a field within another, as in trust.mode=keys
list=a list=b    a repeat adds to a field that takes a list
"""
app = typer.Typer(
    help="The press between a CI build and the machines that boot it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
Home = Annotated[
    Path | None,
    typer.Option("--home", resolve_path=True, help="Folder for everything that is written; also BOOTPRESS_HOME."),
]


def main() -> None:
    """Run the program; errors of ours are one line and a hint on standard error."""
    try:
        app()
    except BootpressError as error:
        _say(error)
        sys.exit(USAGE if isinstance(error, InvalidInput) else FAILED)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # Whoever read our output has seen enough; what is buffered has nowhere to go.
        sys.stderr.close()
        sys.exit(FAILED)


def _show_version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it so
    if wanted:
        print(f"bootpress {version('bootpress')}")
        raise typer.Exit


@app.callback()
def _program(
    *,
    show_version: Annotated[
        bool, typer.Option("--version", help="Show the version.", is_eager=True, callback=_show_version)
    ] = False,
) -> None:
    pass


@app.command()
def up(
    *,
    home: Home = None,
    host: Annotated[str | None, typer.Option(help="Address the API listens on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port of the API.", min=1, max=65535)] = None,
) -> None:
    """Run everything here, in the foreground: Prefect server, API, worker, and a registry unless one is configured."""
    from bootpress.stack.up import up as run  # noqa: PLC0415 - Prefect takes a second to import

    run(_settings(home=home, host=host, port=port))


@app.command()
def demo(
    *,
    home: Annotated[
        Path | None, typer.Option(resolve_path=True, help="Folder to run in; a scratch one by default.")
    ] = None,
    keep: Annotated[bool, typer.Option(help="Leave the folder, and keep everything running to look at.")] = False,
) -> None:
    """Run the life of one image on real parts, from its signature to its retention."""
    from bootpress.stack.demo import demo as run  # noqa: PLC0415 - Prefect takes a second to import

    raise typer.Exit(run(home, keep=keep))


@app.command()
def ui(
    *,
    home: Home = None,
    only_print: Annotated[
        bool, typer.Option("--print", help="Print the addresses; each signs in once, within two minutes.")
    ] = False,
) -> None:
    """Open the Prefect UI and the console in the browser, signed in."""
    from bootpress.stack.ui import ui as run  # noqa: PLC0415 - FastAPI takes a moment to import

    run(_settings(home=home), only_print=only_print)


@app.command()
def doctor(*, home: Home = None) -> None:
    """Check database, Prefect, registry, trust roots and programs; one line each."""
    from bootpress.stack.doctor import doctor as run  # noqa: PLC0415 - Prefect takes a second to import

    raise typer.Exit(run(_settings(home=home)))


@app.command(help=CALL_HELP)
def call(
    name: Annotated[str, typer.Argument(help="The operation; `bootpress operations` lists them.")],
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="field=value…", help="The fields; `bootpress operations NAME` lists them."),
    ] = None,
    *,
    home: Home = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer as it is.")] = False,
    url: Annotated[
        str | None, typer.Option(envvar="BOOTPRESS_URL", help="Base URL of the API; that of the home by default.")
    ] = None,
    token_file: Annotated[
        Path | None,
        typer.Option(envvar="BOOTPRESS_TOKEN_FILE", help="File with a token; the home's admin token by default."),
    ] = None,
    idempotency_key: Annotated[
        str | None, typer.Option(help="A repeat with the same key has no second effect.")
    ] = None,
) -> None:
    """Call one operation of a running bootpress."""
    from bootpress.core.operation_registry import OPERATIONS  # noqa: PLC0415 - SQLAlchemy takes a moment to import

    operation = OPERATIONS.get(name)
    fields = arguments.read_fields(words or [], operation.request.model_json_schema() if operation else None)
    target = client.find_target(_settings(home=home).home, url, token_file)
    answer = client.call(target, name, fields, key=idempotency_key)
    if as_json:
        print(json.dumps(answer, indent=2, ensure_ascii=not sys.stdout.isatty()))
    else:
        output.print_response(answer, secrets=operation.secrets if operation else ())


@app.command()
def operations(
    name: Annotated[str | None, typer.Argument(help="Show the fields of this one.")] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print names, permissions and JSON Schemas.")] = False,
) -> None:
    """List the operations, or the fields of one."""
    from bootpress.core.operation_registry import OPERATIONS  # noqa: PLC0415 - SQLAlchemy takes a moment to import
    from bootpress.entrypoints.operation_schema import operation_schema  # noqa: PLC0415 - as above

    if name is not None and name not in OPERATIONS:
        close = difflib.get_close_matches(name[:100], OPERATIONS, n=1)
        hint = f"did you mean {close[0]}?" if close else "`bootpress operations` lists them"
        raise NotFound(f"no operation {name[:100]}", hint=hint)
    chosen = [OPERATIONS[name]] if name else list(OPERATIONS.values())
    if as_json:
        print(json.dumps({"operations": [operation_schema(one) for one in chosen]}, indent=2))
    elif name:
        schema = chosen[0].request.model_json_schema()
        output.print_response(
            {"summary": chosen[0].summary, "permission": chosen[0].permission, "fields": arguments.fields(schema)}
        )
    else:
        output.print_response(
            {"operations": [{"name": one.name, "permission": one.permission, "summary": one.summary} for one in chosen]}
        )


def _settings(**given: Any) -> Settings:
    """Return the settings of the environment, with what the command line says above it."""
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        name = ".".join(str(part) for part in first["loc"])
        raise InvalidInput(f"setting {name}: {first['msg']}", hint=f"see BOOTPRESS_{name.upper()}") from error


def _say(error: BootpressError) -> None:
    print(f"error: {output.strip_control_characters(error.message)}", file=sys.stderr)
    if error.hint:
        print(f"hint: {output.strip_control_characters(error.hint)}", file=sys.stderr)
