"""Small flows for tests of the orchestrator adapter; each leaves lines in a file, stamped with the time."""

from __future__ import annotations

import os
import time
from pathlib import Path

from prefect import flow, get_run_logger, task
from prefect.flow_runs import suspend_flow_run


def note(path: str, word: str) -> None:
    with Path(path).open("a") as file:
        file.write(f"{word} {time.time():.3f}\n")


@task
def step(path: str, word: str) -> None:
    note(path, word)


@flow
def hello(path: str) -> None:
    """Write one line."""
    note(path, "hello")
    get_run_logger().info("hello from %s", os.getpid())


@flow
def failing() -> None:
    """Raise."""
    raise ValueError("this flow fails on purpose")


@flow
def leaving() -> None:
    """Leave the interpreter, or try to."""
    raise SystemExit(3)


@flow(persist_result=True)
def waiting(path: str) -> None:
    """Suspend, and go on once resumed."""
    step(path, "before")
    suspend_flow_run(timeout=60, key="the-only-one")
    note(path, "after")


@flow
def steps(path: str, count: int = 100, seconds: float = 0.2) -> None:
    """Run many short tasks."""
    for number in range(count):
        step(path, f"step-{number}")
        time.sleep(seconds)


@flow
def sleeping(path: str, seconds: float) -> None:
    """Sleep without a task."""
    note(path, "asleep")
    time.sleep(seconds)
    note(path, "awake")


@flow
def ticking() -> None:
    """Do nothing, by schedule."""


not_a_flow = 42
