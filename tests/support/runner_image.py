"""An image whose container behaves as that of `gitea/act_runner`: made here, of this Python and the tests' runner.

Run in the container, this file is its entry point: it registers once with what the environment says, keeps that in
`/data`, and then is the runner.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

RUNNER = "/runner/gitea_runner.py"
ENTRY = "/runner/entry.py"
TRIES = 40
PAUSE_SECONDS = 0.5
LEFT_OUT = {"site-packages", "test", "idlelib", "ensurepip", "tkinter", "lib2to3", "lib-dynload", "__pycache__"}


def make_runner_image(
    url: str, tag: str, *, programs: Sequence[Path] = (), environment: Mapping[str, str] | None = None
) -> None:
    """Make the image on a Docker daemon; `programs` are what jobs may call, `ACT` in the environment is which act."""
    from tests.support import gitea_runner  # noqa: PLC0415 - not in the container
    from tests.support.docker_daemon import make_image  # noqa: PLC0415 - as above

    python = Path(sys.executable).resolve()
    here = {RUNNER: Path(gitea_runner.__file__), ENTRY: Path(__file__)}
    with tempfile.TemporaryDirectory() as empty:
        make_image(
            url,
            tag,
            [python, *_extensions(), *programs],
            entrypoint=[str(python), "-u", "-s", ENTRY],
            files={str(path): path for path in _library()} | here | {"/tmp": Path(empty)},
            changes=[
                "WORKDIR /data",
                'VOLUME ["/data"]',
                *(f"ENV {name}={value}" for name, value in (environment or {}).items()),
            ],
        )


def _extensions() -> Iterator[Path]:
    """Yield the modules that load libraries of their own."""
    return Path(sysconfig.get_config_var("DESTSHARED")).glob("*.so")


def _library() -> Iterator[Path]:
    """Yield what of Python's own library is a file, or a package that a runner may import."""
    for path in Path(sysconfig.get_paths()["stdlib"]).iterdir():
        if path.name not in LEFT_OUT and not path.name.startswith("config-"):
            yield path


def main() -> None:
    """Register once, then take jobs; what Gitea's image has a shell script for."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    folder = Path("/data")
    folder.mkdir(exist_ok=True)
    os.chdir(folder)
    for _ in range(TRIES):
        if (folder / ".runner").exists():
            break
        try:
            _run("register", *_registration(), "--no-interactive")
        except SystemExit as error:
            print(error, file=sys.stderr, flush=True)  # noqa: T201 - a container's log
        except OSError as error:
            print(f"Cannot ping the Gitea instance server: {error}", file=sys.stderr, flush=True)  # noqa: T201 - as above
        time.sleep(PAUSE_SECONDS)
    else:
        sys.exit("Registration failed")
    _run("daemon", *(["--act", os.environ["ACT"]] if "ACT" in os.environ else []))


def _registration() -> list[str]:
    token = Path(os.environ["GITEA_RUNNER_REGISTRATION_TOKEN_FILE"]).read_text()
    named = {"instance": "GITEA_INSTANCE_URL", "name": "GITEA_RUNNER_NAME", "labels": "GITEA_RUNNER_LABELS"}
    return ["--token", token, *(word for name, key in named.items() for word in (f"--{name}", os.environ[key]))]


def _run(*words: str) -> None:
    sys.argv = [RUNNER, *words]
    runpy.run_path(RUNNER, run_name="__main__")


if __name__ == "__main__":
    main()
