"""A stack of the demo's own: `bootpress up` as a child, in a scratch home, whatever its operator has configured."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.markup import escape

from bootpress.removal import remove_tree
from bootpress.settings import check_path
from bootpress.stack import exec_child
from bootpress.stack.claiming import judge
from bootpress.stack.environment import clean_environment
from bootpress.stack.errors import StackFailed

START_SECONDS: Final = 120.0
STOP_SECONDS: Final = 30.0


@contextmanager
def scratch_home(home: Path | None, console: Console, *, keep: bool) -> Iterator[Path]:
    """Lend a home for the block: the given one, which stays, or a new folder that goes with the block.

    With `keep` it stays too; a block that failed leaves its logs. What stays is named. Raises InvalidInput for a given
    folder that is no home and cannot become one.
    """
    if home is not None:
        judge(check_path(home))  # `up` would refuse it too, after half a second and in many more words
        yield home
        return
    check_path(Path(tempfile.gettempdir(), "bootpress-demo-"))
    folder = Path(tempfile.mkdtemp(prefix="bootpress-demo-"))
    is_left = keep
    try:
        yield folder
    except Exception:
        is_left = True
        if not keep:
            _leave_only_the_logs(folder)
        raise
    finally:
        if is_left:
            console.print(f"Left to look at: {folder}", soft_wrap=True, highlight=False)
        else:
            remove_tree(folder)


@contextmanager
def running_up(console: Console, home: Path) -> Iterator[dict[str, Any]]:
    """Run `bootpress up` in a home until the end of the block; yields what endpoints.json says once it is ready.

    It gets no setting of the operator's: a database or a Prefect that is in use must not see the demo.
    """
    begun = time.monotonic()
    # Should we be killed, the kernel tells `up` to stop.
    wrapper = [sys.executable, "-I", "-S", exec_child.__file__, str(os.getpid()), str(int(signal.SIGTERM))]
    words = [*wrapper, sys.executable, "-m", "bootpress", "up", "--home", str(home)]
    environment = clean_environment()
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, start_new_session=True, env=environment) as process:
        try:
            yield _until_ready(console, process, home, begun)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.communicate(timeout=STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def _until_ready(console: Console, process: subprocess.Popen[str], home: Path, begun: float) -> dict[str, Any]:
    for line in process.stdout or ():
        if line.startswith("ready: "):
            seconds = time.monotonic() - begun
            console.print(f"[green]✓[/] {'bootpress up':<44} [dim]{seconds:6.2f} s[/]  {line.strip()}", soft_wrap=True)
            found: dict[str, Any] = json.loads((home / "endpoints.json").read_text())
            return found
        console.print(f"  [dim]{escape(line.rstrip())}[/]", highlight=False)
        if time.monotonic() - begun > START_SECONDS:
            break
    raise StackFailed("bootpress up did not become ready", hint=f"its logs lie in {home / 'logs'}")


def _leave_only_the_logs(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_symlink() or not path.is_dir():
            path.unlink(missing_ok=True)
        elif path.name != "logs":
            remove_tree(path)
