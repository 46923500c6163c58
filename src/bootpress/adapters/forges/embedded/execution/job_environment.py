"""What a job sees of the world: its environment, and the values that lookups find."""

from __future__ import annotations

import json
import os
import platform
import pwd
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from bootpress.adapters.forges.embedded.execution import orphan_processes
from bootpress.adapters.forges.embedded.execution.run_config import RunConfig
from bootpress.adapters.forges.embedded.execution.runs import RunFolder, RunSpec
from bootpress.adapters.forges.embedded.repository import atomic_files
from bootpress.adapters.forges.embedded.workflow.workflow import JobPlan
from bootpress.core.errors import Unsupported

MAX_COMMANDS: Final = 1 << 20
ARCHITECTURES: Final = {"x86_64": "X64", "aarch64": "ARM64"}
_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.ASCII)
_BLOCK = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)<<(\S+)", re.ASCII)


@dataclass(frozen=True, slots=True)
class JobEnvironment:
    """The folders of one job, and what it is told."""

    folder: Path
    spec: RunSpec
    orders: RunConfig
    github: Mapping[str, Any]

    @classmethod
    def of(cls, run: RunFolder, spec: RunSpec, orders: RunConfig, job: JobPlan, workflow: str) -> JobEnvironment:
        """Make the folders of a job."""
        folder = atomic_files.make_folder(run.work / job.key)
        for name in ("home", "temp"):
            atomic_files.make_folder(folder / name)
        (folder / "home" / ".cache").symlink_to(orders.cache)
        github = _github(run, spec, orders, workflow) | {
            "job": job.key,
            "workspace": str(folder / "checkout" / spec.repository.rpartition("/")[2]),
            "event_path": str(folder / "temp" / "event.json"),
        }
        atomic_files.write(folder / "temp" / "event.json", json.dumps(github["event"]).encode())
        return cls(folder, spec, orders, github)

    @property
    def workspace(self) -> Path:
        """Return the folder of the checkout."""
        return Path(self.github["workspace"])

    @property
    def bare(self) -> Path:
        """Return the folder of the repository."""
        return Path(unquote(urlsplit(self.orders.forge_url).path)) / f"{self.spec.repository}.git"

    @property
    def pipe(self) -> Path:
        """Return the named pipe into the log, for who cannot inherit a descriptor."""
        return self.folder / "temp" / "_log"

    @property
    def mark(self) -> str:
        """Return what every process of the job has in its environment."""
        return f"{self.folder}/"

    def command_file(self, name: str) -> Path:
        """Return the file in which scripts leave what later steps get: `env`, `path`, `output`, `step_summary`."""
        return self.folder / "temp" / f"_{name}"

    def environment(self, host: Mapping[str, str], env: Mapping[str, str], path: list[str]) -> dict[str, str]:
        """Return the environment of a step: its host's, what the workflow sets, and what every runner sets."""
        github = {f"GITHUB_{name.upper()}": value for name, value in self.github.items() if isinstance(value, str)}
        commands = {f"GITHUB_{name.upper()}": str(self.command_file(name)) for name in ("env", "path", "output")}
        found = {**host, "HOME": str(self.folder / "home"), **env, **github, **commands}
        del found["GITHUB_TOKEN"]
        return found | {
            "PATH": ":".join([*path, found["PATH"]]),
            "GITHUB_STEP_SUMMARY": str(self.command_file("step_summary")),
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITEA_ACTIONS": "true",
            "RUNNER_NAME": "bootpress",
            "RUNNER_OS": "Linux",
            "RUNNER_ARCH": ARCHITECTURES.get(platform.machine(), platform.machine().upper()),
            "RUNNER_TEMP": str(self.folder / "temp"),
            "TMPDIR": str(self.folder / "temp"),  # so that it is deleted, whatever a script leaves there
            orphan_processes.VARIABLE: self.mark,
        }

    def contexts(self, env: Mapping[str, str]) -> dict[str, Mapping[str, Any]]:
        """Return what lookups find."""
        return {
            "env": env,
            "github": self.github,
            "inputs": self.spec.inputs,
            "secrets": self.orders.secrets,
            "vars": self.orders.variables,
        }

    def assigned(self) -> dict[str, str]:
        """Return what the last step wrote to GITHUB_ENV, and empty it."""
        return _assignments(self._take("env"))

    def added_paths(self) -> list[str]:
        """Return what the last step wrote to GITHUB_PATH, the last line first, and empty it."""
        return [line for line in reversed(self._take("path").splitlines()) if line]

    def _take(self, name: str) -> str:
        path = self.command_file(name)
        try:
            with atomic_files.open_regular(path) as file:
                content = file.read(MAX_COMMANDS + 1)
        except FileNotFoundError:
            return ""
        path.unlink()
        if len(content) > MAX_COMMANDS or b"\0" in content:
            raise Unsupported(f"GITHUB_{name.upper()} is no text of at most 1 MiB")
        return content.decode(errors="replace")


def user_name() -> str:
    """Return who we are on this machine; a user without a name has a number."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def _assignments(written: str) -> dict[str, str]:
    found: dict[str, str] = {}
    lines = iter(written.splitlines())
    for line in lines:
        if block := _BLOCK.fullmatch(line):
            content = []
            for inner in lines:
                if inner == block[2]:
                    break
                content.append(inner)
            else:
                raise Unsupported(f"GITHUB_ENV: the value of {block[1][:100]} does not end")
            found[block[1]] = "\n".join(content)
        elif single := _ASSIGNMENT.fullmatch(line):
            found[single[1]] = single[2]
        elif line.strip():
            raise Unsupported("GITHUB_ENV: a line is neither NAME=value nor NAME<<END")
    return found


def _github(run: RunFolder, spec: RunSpec, orders: RunConfig, workflow: str) -> dict[str, Any]:
    kind, _, name = spec.ref.removeprefix("refs/").partition("/")
    owner = spec.repository.partition("/")[0]
    actor = user_name()
    return {
        "action": "",
        "actor": actor,
        "api_url": orders.forge_url,
        "base_ref": "",
        "event": {"inputs": dict(spec.inputs), "ref": spec.ref, "after": spec.sha},
        "event_name": spec.event,
        "head_ref": "",
        "ref": spec.ref,
        "ref_name": name,
        "ref_type": "tag" if kind == "tags" else "branch",
        "repository": spec.repository,
        "repository_owner": owner,
        "run_attempt": "1",
        "run_id": run.id,
        "run_number": run.id,
        "server_url": orders.forge_url,
        "sha": spec.sha,
        "token": "",
        "triggering_actor": actor,
        "workflow": workflow or spec.workflow,
    }
