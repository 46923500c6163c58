"""`bootpress up` as an operator meets it: ready, watched over, stopped, killed, started again."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support import services
from tests.support.listeners import tree
from tests.support.processes import Program, is_alive, wait_for
from tests.support.running_stack import Stack, running_stack

KEYS = {"api_url", "prefect_url", "registry", "database", "admin_token_file", "pids"}
NAMES = {"up", "prefect", "registry", "api", "worker"}
STOP_SECONDS = 20


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Run a stack that the last tests of this module stop."""
    services.require("docker-registry")
    with running_stack(tmp_path_factory.mktemp("up") / "home") as stack:
        yield stack


def endpoints(stack: Stack) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = json.loads((stack.home / "endpoints.json").read_text())
    return found


def descendants(pid: int) -> set[int]:
    return tree(pid) - {pid}


def test_the_endpoints_are_private_and_complete(running: Stack) -> None:
    path = running.home / "endpoints.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert set(running.endpoints) == KEYS
    assert set(running.endpoints["pids"]) == NAMES
    assert running.endpoints["pids"]["up"] == running.program.pid
    assert all(is_alive(pid) for pid in running.endpoints["pids"].values())
    assert f"\nready: {running.endpoints['api_url']}\n" in running.program.output


def test_what_the_endpoints_name_answers(running: Stack) -> None:
    assert httpx.get(f"{running.endpoints['api_url']}/readyz").status_code == httpx.codes.OK
    assert httpx.get(f"{running.endpoints['prefect_url']}/api/health").json() is True
    assert "<html" in httpx.get(running.endpoints["prefect_url"], follow_redirects=True).text
    assert httpx.get(f"http://{running.registry}/v2/").status_code == httpx.codes.OK
    assert "webhooks" in running.call("system_list_disk_image_webhooks")


def test_the_deployments_and_block_types_are_there(running: Stack) -> None:
    api, auth = running.prefect_api, running.prefect_auth
    names = ("ingest-publication/webhook", "ingest-backlog/relay", "relay-deliveries/every-minute")
    for name in (*names, "bootstrap-disk-image-ci/operation"):
        assert httpx.get(f"{api}/deployments/name/{name}", auth=auth).status_code == httpx.codes.OK
    assert httpx.get(f"{api}/block_types/slug/ociregistry", auth=auth).status_code == httpx.codes.OK


def test_everything_is_written_to_the_home(running: Stack) -> None:
    # running_stack gives it the folder above the home as HOME.
    found = {path.name for path in running.home.parent.iterdir()}
    assert found == {"home", "home-up.log"}
    assert stat.S_IMODE(running.home.stat().st_mode) == 0o700
    assert stat.S_IMODE((running.home / "admin.token").stat().st_mode) == 0o600
    assert stat.S_IMODE((running.home / "prefect.auth").stat().st_mode) == 0o600
    assert (running.home / "prefect" / "prefect.db").is_file()


def test_no_secret_is_on_a_command_line_or_in_a_log(running: Stack) -> None:
    secrets = [(running.home / name).read_text().strip() for name in ("admin.token", "encryption.key", "prefect.auth")]
    words = b"".join(Path(f"/proc/{pid}/cmdline").read_bytes() for pid in running.endpoints["pids"].values())
    logs = b"".join(path.read_bytes() for path in (running.home / "logs").iterdir())
    assert b"bootpress" in words
    assert logs
    assert not [secret for secret in secrets if secret.encode() in words + logs + running.program.output.encode()]


def test_a_second_one_on_the_same_home_refuses(running: Stack) -> None:
    before = endpoints(running)
    words = [sys.executable, "-m", "bootpress", "up", "--home", str(running.home)]
    second = subprocess.run(words, check=False, capture_output=True, text=True, timeout=30)
    assert second.returncode == 1
    assert f"runs already on {running.home}" in second.stderr
    assert str(running.program.pid) in second.stderr
    assert endpoints(running) == before


def test_doctor_finds_it_well(running: Stack) -> None:
    words = [sys.executable, "-m", "bootpress", "doctor", "--home", str(running.home)]
    told = subprocess.run(words, check=False, capture_output=True, text=True, timeout=60)
    assert told.returncode == 0, told.stdout + told.stderr
    well = {line.split()[1] for line in told.stdout.splitlines() if line.startswith("ok")}
    assert {"home", "stack", "database", "prefect", "worker", "registry"} <= well


def test_what_dies_is_started_again_and_its_new_pid_published(running: Stack) -> None:
    old = endpoints(running)["pids"]["registry"]
    os.kill(old, signal.SIGKILL)
    wait_for(lambda: endpoints(running)["pids"].get("registry", old) != old, what="a new registry runs", seconds=20)
    wait_for(lambda: _answers(f"http://{running.registry}/v2/"), what="the registry answers", seconds=20)


def test_a_stopped_worker_takes_up_its_work_again(running: Stack) -> None:
    old = endpoints(running)["pids"]["worker"]
    os.kill(old, signal.SIGKILL)
    ready = running.home / "run" / "worker.ready"

    def polls() -> bool:
        new = endpoints(running)["pids"].get("worker", old)
        return new != old and ready.is_file() and ready.read_text().strip() == str(new)

    wait_for(polls, what="a new worker polls", seconds=60)


def test_sigterm_ends_all_of_it_in_time(running: Stack) -> None:
    children = descendants(running.program.pid)
    assert len(children) >= len(NAMES) - 1
    begun = time.monotonic()
    running.program.send(signal.SIGTERM)
    assert running.program.wait(STOP_SECONDS) == 0
    assert time.monotonic() - begun < STOP_SECONDS
    assert {pid for pid in children if is_alive(pid)} == set()
    assert not (running.home / "endpoints.json").exists()


def test_started_again_it_keeps_its_ports_and_killed_it_leaves_nobody_behind(running: Stack) -> None:
    """Runs after the stack of this module was stopped, on the same home."""
    assert running.program.exit_code is not None
    token = (running.home / "admin.token").read_text()
    with running_stack(running.home) as again:
        for name in ("api_url", "prefect_url", "registry", "database"):
            assert again.endpoints[name] == running.endpoints[name]
        assert (running.home / "admin.token").read_text() == token
        children = descendants(again.program.pid)
        assert len(children) >= len(NAMES) - 1
        again.program.kill()
        wait_for(lambda: not any(map(is_alive, children)), what="its children are gone", seconds=5)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def test_a_part_that_cannot_start_is_named_with_its_log(tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "prefect").mkdir(parents=True)
    (home / "prefect" / "prefect.db").write_text("no database")
    words = [sys.executable, "-m", "bootpress", "up", "--home", str(home)]
    failed = subprocess.run(words, check=False, capture_output=True, text=True, timeout=120)
    assert failed.returncode == 1
    assert "prefect died" in failed.stderr
    assert str(home / "logs" / "prefect.log") in failed.stderr.replace("\n", "")
    assert not (home / "endpoints.json").exists()


def test_sigterm_is_heard_while_the_registry_is_still_fetched(tmp_path: Path) -> None:
    pid, apt_get = tmp_path / "pid", tmp_path / "bin" / "apt-get"
    apt_get.parent.mkdir()
    apt_get.write_text(f"#!/bin/sh\necho $$ > {pid}\nexec /bin/sleep 60\n")
    apt_get.chmod(0o755)
    home = tmp_path / "home"
    environment = dict(os.environ) | {"PATH": str(apt_get.parent), "HOME": str(tmp_path)}
    words = [sys.executable, "-m", "bootpress", "up", "--home", str(home)]
    with Program(words, log=tmp_path / "up.log", env=environment) as program:
        program.wait_until(lambda: pid.exists() and pid.read_text() != "", what="apt-get runs")
        children = descendants(program.pid)
        begun = time.monotonic()
        program.send(signal.SIGTERM)
        assert program.wait(STOP_SECONDS) == 0
        assert time.monotonic() - begun < STOP_SECONDS / 2
        assert int(pid.read_text()) in children
        assert {child for child in children if is_alive(child)} == set()
