"""A runner for Gitea, for tests: its protocol is Gitea's, and what executes the workflow is the real `act`.

    gitea_runner.py register --instance URL --token TOKEN --name NAME --labels one,two
    gitea_runner.py daemon [--act PROGRAM] [--capacity 1]

The words are those of Gitea's own runner, and so is `.runner`, the file in the current folder that `register` leaves
for `daemon`. Jobs run on this machine, as the user who runs this. Standard library only: it goes into containers.
"""

# ruff: noqa: T201 - a command line prints
from __future__ import annotations

import argparse
import base64
import contextlib
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

SERVICE = "/api/actions/runner.v1.RunnerService/"
VERSION = "v0.2.89-tests"
POLL_SECONDS = 0.3
REPORT_SECONDS = 0.5
ROWS_AT_ONCE = 500
RESULTS = {"success": "RESULT_SUCCESS", "failure": "RESULT_FAILURE", "skipped": "RESULT_SKIPPED"}
PASSED_ON = ("PATH", "LANG", "TMPDIR", "NO_PROXY")
"""What jobs see of the runner's environment, besides what begins with `RUNNER_ENV_`."""
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Forge:
    """Gitea, asked as a runner asks it."""

    def __init__(self, instance: str, uuid: str = "", token: str = "") -> None:
        self.instance = instance.rstrip("/")
        self._headers = {"Content-Type": "application/json", "x-runner-uuid": uuid, "x-runner-token": token}

    def call(self, method: str, message: dict[str, Any]) -> dict[str, Any]:
        """Call a method of the runner service; HTTPError says what the forge refused."""
        request = urllib.request.Request(  # noqa: S310 - the forge's URL is the operator's
            self.instance + SERVICE + method, json.dumps(message).encode(), self._headers, method="POST"
        )
        with _opener.open(request, timeout=30) as answer:
            found: dict[str, Any] = json.load(answer)
        return found


class Report:
    """What a job has said and how far its steps have come, handed to the forge piece by piece."""

    def __init__(self, forge: Forge, task_id: str) -> None:
        self._forge, self._task_id = forge, task_id
        self._lock = threading.Lock()
        self._rows: list[dict[str, str]] = []
        self._acknowledged = 0
        self._steps: dict[int, dict[str, Any]] = {}
        self._began = _now()
        self.result: str | None = None

    def read(self, line: str) -> None:
        """Take in a line that act printed."""
        try:
            said = json.loads(line)
        except ValueError:
            said = {"msg": line}
        message = str(said.get("msg", "")).rstrip("\r\n")
        with self._lock:
            step = self._step(said)
            for text in message.split("\n") if message else []:
                self._rows.append({"time": _now(), "content": text})
                if step is not None:
                    step["logLength"] = str(len(self._rows) - int(step["logIndex"]))
            if step is not None and said.get("stage") == "Main" and "stepResult" in said:
                step |= {"result": RESULTS[said["stepResult"]], "stoppedAt": _now()}
            if "jobResult" in said:
                self.result = RESULTS[said["jobResult"]]

    def _step(self, said: dict[str, Any]) -> dict[str, Any] | None:
        """Return the step that a line belongs to: act names those without an id by their number."""
        number = (said.get("stepID") or [""])[0]
        if not number.isdigit():
            return None
        fresh = {"id": number, "startedAt": _now(), "logIndex": str(len(self._rows)), "logLength": "0"}
        return self._steps.setdefault(int(number), fresh)

    def send(self, *, result: str | None = None) -> bool:
        """Hand over what is new, and with a result the end; False when the forge has ended the job itself."""
        self._send_rows(last=result is not None)
        with self._lock:
            state = {"id": self._task_id, "startedAt": self._began, "steps": list(self._steps.values())}
        if result is not None:
            state |= {"result": result, "stoppedAt": _now()}
        answer = self._forge.call("UpdateTask", {"state": state})
        ended: str = answer.get("state", {}).get("result", "RESULT_UNSPECIFIED")
        return result is not None or ended == "RESULT_UNSPECIFIED"

    def _send_rows(self, *, last: bool) -> None:
        with self._lock:
            rows = self._rows[self._acknowledged :]
        while rows or last:
            piece, rows = rows[:ROWS_AT_ONCE], rows[ROWS_AT_ONCE:]
            message = {"taskId": self._task_id, "index": str(self._acknowledged), "rows": piece}
            answer = self._forge.call("UpdateLog", message | {"noMore": last and not rows})
            self._acknowledged = int(answer.get("ackIndex", "0"))
            if not rows:
                return


class Job:
    """One task of the forge, executed by act in a folder of its own."""

    def __init__(self, act: str, labels: Sequence[str], task: dict[str, Any], folder: Path) -> None:
        self._context: dict[str, Any] = task["context"]
        self._folder = folder
        self._workspace = folder / "workspace"
        self._write("workflow.yml", base64.b64decode(task["workflowPayload"]).decode())
        self._write("event.json", json.dumps(self._context.get("event") or {}))
        for name, values in (("secrets", task.get("secrets")), ("vars", task.get("vars")), ("env", self._variables())):
            self._write(f"{name}.yaml", json.dumps(values or {}))  # JSON is YAML, and keeps lines of a value apart
        self._argv = [act, self._context["event_name"], "--json", "--no-cache-server", "-a", self._context["actor"]]
        self._argv += ["-C", str(self._workspace), "-W", "../workflow.yml", "-e", "../event.json"]
        self._argv += ["--secret-file=../secrets.yaml", "--var-file=../vars.yaml", "--env-file=../env.yaml"]
        self._argv += [word for label in labels for word in ("-P", f"{label}=-self-hosted")]
        self._argv += [f"--action-cache-path={folder / 'act'}"]

    def run(self, report: Report) -> str:
        """Execute the workflow; return the result for the forge."""
        self._check_out()
        home = self._folder / "home"
        home.mkdir()
        passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        given = {name[11:]: value for name, value in os.environ.items() if name.startswith("RUNNER_ENV_")}
        process = subprocess.Popen(
            self._argv,
            cwd=self._workspace,
            env=passed | {"HOME": str(home)} | given,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        reading = threading.Thread(target=_read, args=(process, report))
        reading.start()
        while reading.is_alive():
            reading.join(REPORT_SECONDS)
            with contextlib.suppress(OSError, http.client.HTTPException):  # the forge is away: told later
                if not report.send():
                    process.terminate()
        code = process.wait()
        return report.result or (RESULTS["success"] if code == 0 else RESULTS["failure"])

    def _check_out(self) -> None:
        """Leave the commit in act's folder: what `actions/checkout` of this repository becomes with act."""
        url = f"{self._context['server_url'].rstrip('/')}/{self._context['repository']}"
        login = base64.b64encode(f"x-access-token:{self._context['token']}".encode()).decode()
        environment = os.environ | {
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "http.extraHeader",
            "GIT_CONFIG_VALUE_0": f"Authorization: Basic {login}",
        }
        self._workspace.mkdir()
        for words in (["init"], ["fetch", "--depth=1", url, self._context["sha"]], ["checkout", "FETCH_HEAD"]):
            done = subprocess.run(
                [shutil.which("git") or "git", words[0], "--quiet", *words[1:]],
                cwd=self._workspace,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
                timeout=60,
            )
            if done.returncode:
                raise RuntimeError(f"git {words[0]}: {done.stderr}")

    def _variables(self) -> dict[str, str]:
        """Return what act does not know by itself."""
        names = ("repository", "repository_owner", "ref", "ref_name", "ref_type", "run_id", "run_number", "run_attempt")
        found = {f"GITHUB_{name.upper()}": str(self._context.get(name, "")) for name in names}
        server = str(self._context["server_url"]).rstrip("/")
        return found | {
            "SHA_REF": str(self._context["sha"]),
            "GITHUB_SERVER_URL": server,
            "GITHUB_API_URL": str(self._context["api_url"]),
            "GITEA_ACTIONS": "true",
            "CI": "true",
        }

    def _write(self, name: str, text: str) -> None:
        path = self._folder / name
        path.touch(0o600)
        path.write_text(text)


def register(instance: str, token: str, name: str, labels: Sequence[str], folder: Path) -> None:
    """Register with a forge, and remember it in a folder."""
    bare = [label.partition(":")[0] for label in labels]
    asked = {"name": name, "token": token, "version": VERSION, "labels": bare}
    runner = Forge(instance).call("Register", asked)["runner"]
    kept = {"address": instance, "labels": bare, **{key: runner[key] for key in ("id", "uuid", "name", "token")}}
    path = folder / ".runner"
    path.touch(0o600)
    path.write_text(json.dumps(kept))


def serve(act: str, folder: Path, capacity: int) -> None:
    """Take jobs and run them, until SIGTERM."""
    kept = json.loads((folder / ".runner").read_text())
    forge, labels = Forge(kept["address"], kept["uuid"], kept["token"]), kept["labels"]
    forge.call("Declare", {"version": VERSION, "labels": labels})
    print(f"runner {kept['name']} takes jobs for {', '.join(labels)}", flush=True)
    for _ in range(capacity - 1):
        threading.Thread(target=_work, args=(forge, act, labels), daemon=True).start()
    _work(forge, act, labels)


def _work(forge: Forge, act: str, labels: Sequence[str]) -> None:
    while True:
        try:
            task = forge.call("FetchTask", {"tasksVersion": "0"}).get("task")
        except (OSError, http.client.HTTPException) as error:
            if isinstance(error, urllib.error.HTTPError) and error.code in {401, 403}:
                sys.exit(f"the forge no longer knows this runner: {error.read().decode(errors='replace')}")
            task = None
        if task:
            _execute(forge, act, labels, task)
        else:
            time.sleep(POLL_SECONDS)


def _execute(forge: Forge, act: str, labels: Sequence[str], task: dict[str, Any]) -> None:
    report = Report(forge, task["id"])
    with tempfile.TemporaryDirectory(prefix="runner-") as folder:
        try:
            result = Job(act, labels, task, Path(folder)).run(report)
        except Exception as error:  # noqa: BLE001 - whatever it is, the job has failed and the log says why
            report.read(f"the runner failed: {type(error).__name__}: {error}")
            result = RESULTS["failure"]
    for _ in range(60):
        with contextlib.suppress(OSError, http.client.HTTPException):
            report.send(result=result)
            break
        time.sleep(1)
    print(f"task {task['id']}: {result}", flush=True)


def _read(process: subprocess.Popen[str], report: Report) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        report.read(line.rstrip("\n"))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _parse(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="act_runner", description="a runner for tests")
    commands = parser.add_subparsers(dest="command", required=True)
    registering = commands.add_parser("register")
    for name in ("instance", "token", "labels"):
        registering.add_argument(f"--{name}", required=True)
    registering.add_argument("--name", default="runner")
    registering.add_argument("--no-interactive", action="store_true")
    serving = commands.add_parser("daemon")
    serving.add_argument("--act", default="act")
    serving.add_argument("--capacity", type=int, default=1)
    return parser.parse_args(words)


def main(words: Sequence[str] | None = None) -> None:
    """Run a command of the runner in the current folder."""
    chosen = _parse(words)
    if chosen.command == "register":
        try:
            register(chosen.instance, chosen.token, chosen.name, chosen.labels.split(","), Path.cwd())
        except urllib.error.HTTPError as error:
            sys.exit(f"the forge refused to register this runner: {error.read().decode(errors='replace')}")
        print("Runner registered successfully.")
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with contextlib.suppress(KeyboardInterrupt):
        serve(chosen.act, Path.cwd(), chosen.capacity)


if __name__ == "__main__":
    main()
