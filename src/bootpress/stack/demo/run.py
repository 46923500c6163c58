"""Begin and end the demo: a stack of its own in a scratch home, the steps, and what there is to look at then."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import tempfile
from contextlib import closing, suppress
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bootpress.adapters.oci import OciRegistries
from bootpress.core.errors import BootpressError
from bootpress.stack.demo.context import DemoContext, DemoFailed
from bootpress.stack.demo.forge_build import run_forge_build
from bootpress.stack.demo.image_lifecycle import run_image_lifecycle
from bootpress.stack.temporary_stack import running_up, scratch_home

OTHER_COLUMNS: Final = 56
"""Characters of a line that tells an event, but for what it is about."""


def demo(home: Path | None, *, keep: bool) -> int:
    """Run every step; return 0 only if each one held. With `keep` the stack goes on until Ctrl-C, or its own end."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    console = Console()
    with (
        scratch_home(home, console, keep=keep) as scratch,
        running_up(console, scratch) as endpoints,
        tempfile.TemporaryDirectory() as folder,
        closing(OciRegistries()) as registries,
    ):
        stage = DemoContext(console, scratch, endpoints, Path(folder), registries)
        if not endpoints.get("registry"):
            raise DemoFailed("the demo needs a registry", hint="install docker-registry, or run `make demo`")
        if not keep:
            _show_links(stage)
            _tell(stage)
            console.print("\nIt all ends here. To look at it longer: `bootpress demo --keep` (`make demo ARGS=--keep`)")
            return 0
        return _live_and_stay(stage)


def _live_and_stay(stage: DemoContext) -> int:
    """Run the steps, and leave everything running to look at, a failure above all."""
    code = 0
    try:
        _tell(stage)
    except BootpressError as error:
        code = 1
        stage.console.print(f"[red]✗[/] {escape(str(error))}", soft_wrap=True, highlight=False)
    _show_links(stage)
    stage.console.print(f"Try: {_command('call', 'recent_events', '--home', str(stage.home))}", soft_wrap=True)
    stage.console.print("Ctrl-C stops it.")
    with suppress(KeyboardInterrupt):
        os.waitid(os.P_PID, int(stage.endpoints["pids"]["up"]), os.WEXITED | os.WNOWAIT)
        raise DemoFailed("bootpress up ended by itself", hint=f"its logs lie in {stage.logs}")
    return code


def _tell(stage: DemoContext) -> None:
    """Run the steps."""
    platform = run_image_lifecycle(stage)
    run_forge_build(stage, platform)
    _show_events(stage)


def _command(*words: str) -> str:
    """Return a command line that works where this demo does, whatever PATH says."""
    program = Path(sys.prefix) / "bin" / "bootpress"
    return shlex.join([str(program), *words] if program.exists() else [sys.executable, "-m", "bootpress", *words])


def _show_events(stage: DemoContext) -> None:
    table = Table("when", "event", "severity", title="recent_events, newest first", title_justify="left")
    # Left to itself, a narrow terminal has a column for this one and none for the others.
    room = max(stage.console.width - OTHER_COLUMNS, 20)
    table.add_column("about", no_wrap=True, overflow="ellipsis", max_width=room)
    for event in stage.call("recent_events", kind_prefix="system.disk_image")["events"]:
        payload = event["payload"]
        about = payload.get("error_message") or payload.get("oci_digest") or payload.get("repo") or ""
        kind = event["kind"].removeprefix("system.disk_image_")
        table.add_row(event["occurred_at"][11:19], kind, event["severity"], escape(str(about)))
    stage.console.print(table)


def _show_links(stage: DemoContext) -> None:
    stage.console.print(f"Prefect UI (runs, deployments, artifacts): {stage.prefect_url}", soft_wrap=True)
    where = f"{stage.endpoints['api_url']}/app    token: {stage.endpoints['admin_token_file']}"
    stage.console.print(f"Console (publications): {where}", soft_wrap=True)
    stage.console.print(f"Both open signed in with: bootpress ui --home {stage.home}", soft_wrap=True)
    stage.console.print(f"API: {stage.endpoints['api_url']}", soft_wrap=True)
