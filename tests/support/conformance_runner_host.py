"""What everything that calls itself a RunnerHost has in common: the real adapter and the fake pass the same tests.

A module that tests an implementation derives a class from `RunnerHostConformance` and has a fixture `dock`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from uuid import UUID, uuid4

import pytest

from bootpress.core.errors import RunnerHostUnavailable
from bootpress.core.ports import Container, RunnerHost, RunnerSpec
from tests.support.processes import wait_for

ABSENT = "0" * 64


@dataclass(frozen=True, slots=True)
class RunnerHostUnderTest:
    """A Docker host that has an image of a runner, and one that does not answer."""

    host: RunnerHost
    image: str
    away: RunnerHost

    def spec(self, worker_id: UUID | None = None) -> RunnerSpec:
        """Return what a runner of a forge that is not there is started with: it goes on trying."""
        return RunnerSpec(
            worker_id=worker_id or uuid4(),
            name="edge",
            image=self.image,
            forge_url="http://127.0.0.1:1",
            registration_token="registers-0123456789",
            labels=("disk-image-builder", "amd64"),
        )


@contextmanager
def running(dock: RunnerHostUnderTest, spec: RunnerSpec) -> Iterator[str]:
    """Run a runner that has begun to speak; remove it afterwards."""
    container_id = dock.host.start(spec).id
    try:
        # Before that its program does not hear SIGTERM yet, and removing it takes seconds.
        wait_for(lambda: dock.host.logs(container_id, lines=5) != [], what="the runner says something")
        yield container_id
    finally:
        dock.host.remove(spec.worker_id)


class RunnerHostConformance:
    """The tests; whatever they start they remove."""

    def test_a_started_runner_runs_and_says_something(self, dock: RunnerHostUnderTest) -> None:
        with running(dock, dock.spec()) as container_id:
            assert dock.host.is_running(container_id)
            assert len(dock.host.logs(container_id, lines=1)) == 1

    def test_a_repeat_keeps_what_runs(self, dock: RunnerHostUnderTest) -> None:
        spec = dock.spec()
        with running(dock, spec) as first:
            assert dock.host.start(replace(spec, registration_token="another")) == Container(first, is_new=False)

    def test_what_was_made_otherwise_is_replaced(self, dock: RunnerHostUnderTest) -> None:
        spec = dock.spec()
        with running(dock, spec) as first, running(dock, replace(spec, labels=("arm64",))) as second:
            assert second != first
            assert dock.host.is_running(second)
            assert not dock.host.is_running(first)

    def test_a_removed_one_is_gone_and_others_stay(self, dock: RunnerHostUnderTest) -> None:
        one = dock.spec()
        with running(dock, one) as gone, running(dock, dock.spec()) as stays:
            dock.host.remove(one.worker_id)
            assert not dock.host.is_running(gone)
            assert list(dock.host.logs(gone, lines=5)) == []
            assert dock.host.is_running(stays)

    def test_what_is_absent_is_removed_does_not_run_and_said_nothing(self, dock: RunnerHostUnderTest) -> None:
        dock.host.remove(uuid4())
        dock.host.clear_registration_token(ABSENT)
        assert not dock.host.is_running(ABSENT)
        assert list(dock.host.logs(ABSENT, lines=5)) == []

    def test_it_says_what_it_is(self, dock: RunnerHostUnderTest) -> None:
        info = dock.host.check()
        assert info.version
        assert info.arch in {"amd64", "arm64"}

    def test_one_that_does_not_answer_is_unavailable(self, dock: RunnerHostUnderTest) -> None:
        with pytest.raises(RunnerHostUnavailable):
            dock.away.check()
        with pytest.raises(RunnerHostUnavailable):
            dock.away.start(dock.spec())
        with pytest.raises(RunnerHostUnavailable):
            dock.away.remove(uuid4())
