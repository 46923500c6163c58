"""The demo is what a newcomer sees first: every step of it holds."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.support.ports import free_port
from tests.support.processes import Program

pytestmark = pytest.mark.part("docker-registry")


def test_the_demo_tells_the_life_of_one_image(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "bootpress", "demo", "--home", str(tmp_path / "home")]
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
    assert not theirs.exists()
