"""The demo is what a newcomer sees first: every step of it holds."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.ports import free_port
from tests.support.processes import Program

pytestmark = [pytest.mark.part("docker-registry"), pytest.mark.part("git")]


def demo(folder: Path) -> list[str]:
    return [sys.executable, "-m", "bootpress", "demo", "--home", str(folder / "home")]


def see_the_way_of_a_build(told: str) -> None:
    """See in what the demo printed that the forge ran a build, and that what it pushed was published."""
    steps = re.findall(r"^✓ (.+?) +[0-9.]+ s  (.*)$", told, re.MULTILINE)
    names = [name for name, _ in steps]
    begun = names.index("connect the embedded forge")
    assert names[begun : begun + 8] == [
        "connect the embedded forge",
        "bootstrap its build repository",
        "trust the key that it signs with",
        "push a workflow to it",
        "dispatch it",
        "the forge runs it",
        "its webhook wakes the build, until published",
        "its flow run has ended",
    ]
    notes = dict(steps)
    assert re.search(r"run 1  http://.+/runs/flow-run/", notes["dispatch it"])
    assert re.search(r"success  file://.+/runs/1$", notes["the forge runs it"])
    assert notes["its flow run has ended"].endswith("→ Completed")
    (pushed,) = re.findall(
        r"^  │ pushed \S+/os/disk-images/demo-amd64:main as (sha256:[0-9a-f]{64})$", told, re.MULTILINE
    )
    assert notes["its webhook wakes the build, until published"] == pushed[:19]
    assert "  │ rang bootpress: delivery " in told
    assert "build_dispatched" in told


def test_the_demo_tells_the_life_of_one_image(tmp_path: Path) -> None:
    words = demo(tmp_path)
    theirs = tmp_path / "in-use.db"
    environment = dict(os.environ) | {"HOME": str(tmp_path), "NO_COLOR": "1", "COLUMNS": "200"}
    environment |= {  # what its operator works with, which the demo leaves alone
        "BOOTPRESS_DATABASE_URL": f"sqlite:///{theirs}",
        "PREFECT_API_URL": f"http://127.0.0.1:{free_port()}/api",
    }
    with Program(words, log=tmp_path / "demo.log", env=environment, cwd=tmp_path) as program:
        program.wait(seconds=200)
        assert program.exit_code == 0, program.output
        assert "rejected:" in program.output
        assert "/runs/flow-run/" in program.output
        see_the_way_of_a_build(program.output)
    assert not theirs.exists()
    _see_a_failure_that_is_kept(tmp_path, environment)


def _see_a_failure_that_is_kept(tmp_path: Path, environment: dict[str, str]) -> None:
    """Run the demo again in its home, with a cosign that refuses: it says so, stays to be looked at, and ends with up.

    Part of the test above, because starting a home again is quicker than making another.
    """
    cosign = tmp_path / "bin" / "cosign"
    cosign.parent.mkdir()
    cosign.write_text("#!/bin/sh\necho 'no matching signatures' >&2\nexit 1\n")
    cosign.chmod(0o755)
    environment = environment | {"PATH": f"{cosign.parent}{os.pathsep}{environment['PATH']}"}
    with Program([*demo(tmp_path), "--keep"], log=tmp_path / "again.log", env=environment, cwd=tmp_path) as program:
        program.wait_until(lambda: "Ctrl-C stops it" in program.output, what="the demo stays", seconds=120)
        assert "demo-amd64-2 trusts one key" in program.output
        assert "cosign does not accept the signature: no matching signatures" in program.output
        (line,) = re.findall(r"^Try: (.+)$", program.output, re.MULTILINE)
        tried = subprocess.run(shlex.split(line), capture_output=True, text=True, timeout=60, check=False)
        assert "published" in tried.stdout, tried.stderr
        up = json.loads((tmp_path / "home" / "endpoints.json").read_text())["pids"]["up"]
        os.kill(up, signal.SIGTERM)
        assert program.wait(seconds=60) == 1
        assert "bootpress up ended by itself" in program.output
