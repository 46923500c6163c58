"""docs/tutorial.md, followed to the letter: its commands are read from the page and run by one shell, in order.

Plain assignments of its section "Before you begin" are what the reader chooses: here the test does. A block after
"in a terminal of its own" is a program that stays.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support import gitea_runner, services
from tests.support.build_repository import PACKAGES, link_programs
from tests.support.gitea import Gitea
from tests.support.processes import Program, wait_for

pytestmark = [
    pytest.mark.part("image-tools"),
    pytest.mark.part("act"),
    pytest.mark.part("oras"),
    pytest.mark.part("cosign3"),
    pytest.mark.part("docker-registry"),
    pytest.mark.part("git"),
    pytest.mark.part("jq"),
    pytest.mark.timeout(600),
]
PAGE = Path(__file__).resolve().parents[2] / "docs" / "tutorial.md"
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.DOTALL | re.MULTILINE)
READY = {"bootpress up": "ready: ", "act_runner daemon": "takes jobs"}
SHELL_SECONDS = 240


@dataclass(frozen=True)
class Step:
    """Commands of one block: a terminal of their own, or the reader's."""

    section: str
    commands: list[str]
    stays: bool


def read_steps(text: str) -> Iterator[Step]:
    """Yield the console blocks of a page, with the section that they are in."""
    for match in BLOCK.finditer(text):
        before = text[: match.start()]
        section = re.findall(r"^## (.+)$", before, re.MULTILINE)[-1]
        lines = match[1].replace("\\\n", " ").splitlines()
        commands = [line.removeprefix("$ ") for line in lines]
        assert all(line.startswith("$ ") for line in lines), f"only commands in {section}: {lines}"
        yield Step(section, commands, "in a terminal of its own" in before.rpartition("\n\n")[0].rpartition("\n\n")[2])


class Terminal:
    """A shell that keeps its variables and its folder from one block to the next, and ends with what fails."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._count = 0
        self.log = folder / "terminal.log"
        with self.log.open("wb") as log:
            self._shell = subprocess.Popen(
                [shutil.which("bash") or "bash"],
                cwd=folder,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                text=True,
            )
        self.type("set -euo pipefail")

    def type(self, commands: str) -> None:
        """Run commands, and wait until they are done."""
        self._count += 1
        script, done = self._folder / f"block-{self._count}.sh", self._folder / f"block-{self._count}.done"
        script.write_text(commands)
        assert self._shell.stdin is not None
        self._shell.stdin.write(f"source {script} < /dev/null; : > {done}\n")
        self._shell.stdin.flush()
        wait_for(lambda: done.exists() or self._shell.poll() is not None, what=commands, seconds=SHELL_SECONDS)
        assert done.exists(), f"{commands}\n{self.log.read_text(errors='replace')[-6000:]}"

    def output_of(self, command: str) -> str:
        """Return what a command prints."""
        file = self._folder / "output"
        self.type(f"{command} > {file}")
        return file.read_text()

    def close(self) -> None:
        """Close it, as Ctrl-D does."""
        assert self._shell.stdin is not None
        self._shell.stdin.close()
        try:
            self._shell.wait(10)
        finally:
            self._shell.kill()
            self._shell.wait()


@dataclass
class Reader:
    """Somebody at a terminal, and the programs that he left running in others."""

    folder: Path
    environment: dict[str, str]
    chosen: dict[str, str]
    terminal: Terminal
    running: ExitStack
    followed: list[str] = field(default_factory=list)

    def follow(self, step: Step) -> None:
        """Do what a block says."""
        self.followed += step.commands
        if step.stays:
            (command,) = step.commands
            self._leave_running(command)
        elif step.section == "Before you begin":
            self.terminal.type("\n".join(self._choose(command) for command in step.commands))
        else:
            self.terminal.type("\n".join(step.commands))

    def call(self, name: str, *words: str) -> dict[str, Any]:
        """Call an operation, to see for himself."""
        found: dict[str, Any] = json.loads(self.terminal.output_of(" ".join(["bootpress call --json", name, *words])))
        return found

    def _choose(self, command: str) -> str:
        match = re.fullmatch(r"((?:export )?(\w+)=).*", command)
        return f"{match[1]}'{self.chosen.pop(match[2])}'" if match else command

    def _leave_running(self, command: str) -> None:
        words = command.split()
        # The page's words for it: with the same BOOTPRESS_HOME, and in the folder `runner`.
        environment = self.environment | {"BOOTPRESS_HOME": self.terminal.output_of('printf %s "$BOOTPRESS_HOME"')}
        folder = self.folder / ("runner" if words[0] == "act_runner" else ".")
        argv = [shutil.which(words[0], path=environment["PATH"]) or words[0], *words[1:]]
        program = Program(argv, log=self.folder / f"{words[0]}.log", env=environment, cwd=folder)
        self.running.enter_context(program)
        program.wait_until(lambda: READY[command] in program.output, what=f"{command} is ready", seconds=90)


@pytest.fixture
def reader(open_gitea: Callable[[str], Gitea], tmp_path: Path) -> Iterator[Reader]:
    """Give somebody what the page asks for: a Gitea with an organization, a token in a file, the programs."""
    gitea = open_gitea("126")
    gitea.call("POST", "/orgs", {"username": "tutorial", "visibility": "private"})
    scopes = ("write:organization", "write:repository", "write:user")
    (tmp_path / "gitea.token").write_text(gitea.create_token("tutorial", *scopes))
    programs = link_programs(tmp_path / "bin")
    (programs / "act").symlink_to(services.require("act"))
    (programs / "bootpress").symlink_to(Path(sys.executable).with_name("bootpress"))
    runner = programs / "act_runner"
    runner.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{gitea_runner.__file__}" "$@"\n')
    runner.chmod(0o755)
    kept = {name: os.environ[name] for name in ("NO_PROXY", "PREFECT_SERVER_ANALYTICS_ENABLED", "DO_NOT_TRACK")}
    environment = kept | {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "RUNNER_ENV_DISK_IMAGE_CACHE": str(PACKAGES),
    }
    chosen = {
        "BOOTPRESS_HOME": str(tmp_path / "press"),
        "GITEA": gitea.url,
        "OWNER": "tutorial",
        "PLATFORM": "debian-12-custom",
    }
    with ExitStack() as running, closing(Terminal(tmp_path, environment)) as terminal:
        yield Reader(tmp_path, environment, chosen, terminal, running)


def test_who_follows_the_tutorial_to_the_letter_gets_what_it_promises(
    reader: Reader, open_gitea: Callable[[str], Gitea]
) -> None:
    for step in read_steps(PAGE.read_text()):
        reader.follow(step)
    assert reader.chosen == {}, "the page no longer has these to choose"
    assert len(reader.followed) > 30

    (worker,) = reader.call("system_list_ci_workers")["workers"]
    assert worker["status"] == "revoked"
    assert open_gitea("126").call("GET", "/repos/tutorial/disk-images/actions/runners")["runners"] == []

    (build,) = reader.call("system_list_disk_image_builds")["builds"]
    assert build["status"] == "published", build
    newest, first = reader.call("system_list_disk_image_publications", "node_platform_id=debian-12-custom")[
        "publications"
    ]
    assert [one["status"] for one in (newest, first)] == ["published", "published"]
    assert [one["is_default"] for one in (newest, first)] == [True, False]
    assert build["publication_id"] == first["id"]
    assert (newest["oci_ref"].rpartition(":")[2], first["oci_ref"].rpartition(":")[2]) == ("v1.0", "main")
    platform = reader.call("system_get_node_platform", "id=debian-12-custom")["node_platform"]
    assert platform["disk_image_oci_ref"].endswith(f"@{newest['oci_digest']}")
    assert platform["retention_count"] == 5
    events = reader.call("recent_events", "kind_prefix=system.disk_image_published")["events"]
    assert len(events) == 2


def test_the_page_keeps_to_what_a_reader_can_follow() -> None:
    steps = list(read_steps(PAGE.read_text()))
    assert {command for step in steps if step.stays for command in step.commands} == set(READY)
    titles = [step.section for step in steps]
    assert all(any(title.startswith(f"Step {number}") for title in titles) for number in range(1, 8))
