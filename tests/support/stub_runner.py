"""A runner that runs nothing: it takes every job of a Gitea, says what it is told to and calls it a success."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from tests.support.gitea_runner import Forge

LABELS = ("disk-image-builder",)


class StubRunner:
    """One runner, registered with a repository's token."""

    def __init__(self, instance: str, token: str, *, name: str = "stub") -> None:
        asked = {"name": name, "token": token, "version": "stub", "labels": list(LABELS)}
        known = Forge(instance).call("Register", asked)["runner"]
        self._forge = Forge(instance, known["uuid"], known["token"])
        self._forge.call("Declare", {"version": "stub", "labels": list(LABELS)})

    def take(self) -> dict[str, Any] | None:
        """Take the next job that waits."""
        task: dict[str, Any] | None = self._forge.call("FetchTask", {"tasksVersion": "0"}).get("task")
        return task

    def say(self, task: dict[str, Any], lines: Sequence[str], *, at: int = 0, is_last: bool = False) -> None:
        """Add lines to a job's log, of which there are `at` so far."""
        rows = [{"time": _now(), "content": line} for line in lines]
        self._forge.call("UpdateLog", {"taskId": task["id"], "index": str(at), "rows": rows, "noMore": is_last})

    def end(self, task: dict[str, Any], result: str = "RESULT_SUCCESS") -> None:
        """Say how a job ended."""
        now = _now()
        state = {"id": task["id"], "startedAt": now, "stoppedAt": now, "result": result, "steps": []}
        self._forge.call("UpdateTask", {"state": state})

    def run_all(self, lines: Sequence[str]) -> None:
        """Take jobs until none waits."""
        while task := self.take():
            self.say(task, lines, is_last=True)
            self.end(task)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
