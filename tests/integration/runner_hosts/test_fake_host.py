"""The fake is what it stands in for."""

from __future__ import annotations

import pytest

from tests.support.conformance_runner_host import RunnerHostConformance, RunnerHostUnderTest
from tests.support.fake_forge import FakeRunnerHost


@pytest.fixture
def dock() -> RunnerHostUnderTest:
    away = FakeRunnerHost()
    away.away = True
    return RunnerHostUnderTest(FakeRunnerHost(), "gitea/act_runner", away)


class TestFakeRunnerHost(RunnerHostConformance):
    """In memory."""
