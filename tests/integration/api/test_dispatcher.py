"""The dispatcher: nothing that was delivered stays lying, whatever is away."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bootpress.entrypoints.api.background import BackgroundLoops
from tests.support.api import ApiServer, WebhookClient, announcement, running_press
from tests.support.fakes import eventually


@pytest.fixture
def idle(tmp_path: Path) -> Iterator[ApiServer]:
    """An API whose launcher is away, so that what it is sent lies there."""
    with running_press(f"sqlite:///{tmp_path / 'catalog.db'}") as press, press.launcher.switched_off():
        yield press


def lying(press: ApiServer, count: int) -> WebhookClient:
    """Leave deliveries as an earlier process may have left them."""
    bell = press.provision()
    for number in range(count):
        assert bell.ring(announcement(run_id=number)).status_code == 202
    return bell


def test_what_an_earlier_process_left_is_taken_up_at_the_start(idle: ApiServer) -> None:
    lying(idle, 2)
    idle.launcher.away = False
    dispatcher = BackgroundLoops(idle.context, idle=60)
    dispatcher.start()
    assert eventually(lambda: len(idle.launcher.deliveries) == 2, within=2)
    dispatcher.stop()


def test_a_listener_that_is_away_does_not_keep_deliveries_waiting(tmp_path: Path) -> None:
    with running_press(f"sqlite:///{tmp_path / 'catalog.db'}") as press, press.sink.switched_off():
        bell = press.provision()
        press.provision()  # rotates: an event
        assert not bell.ring().is_success
        assert press.provision("other").ring().status_code == 202
        assert eventually(lambda: len(press.launcher.deliveries) == 1)
        assert press.sink.emitted == []
        press.sink.away = False
        assert eventually(lambda: len(press.sink.emitted) == 1)


def test_a_slow_listener_holds_up_no_launch(tmp_path: Path) -> None:
    with running_press(f"sqlite:///{tmp_path / 'catalog.db'}") as press:
        press.provision()
        press.sink.seconds = 3
        bell = press.provision()  # rotates: an event
        assert eventually(lambda: press.sink.calls == 1)
        began = time.monotonic()
        assert bell.ring().status_code == 202
        assert eventually(lambda: len(press.launcher.deliveries) == 1)
        assert time.monotonic() - began < 2.5
        assert press.sink.emitted == []


def test_what_is_away_is_asked_less_and_less_and_logged_once(idle: ApiServer, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="bootpress"):
        bell = lying(idle, 1)
        time.sleep(1.5)
        for number in range(20):
            bell.ring(announcement(run_id=100 + number))
        asked = idle.launcher.asked
        idle.launcher.away = False
        assert eventually(lambda: "relay works again" in caplog.text)
    assert asked <= 6
    assert len(idle.launcher.batches) == 1
    said = [record.getMessage() for record in caplog.records if "relay" in record.getMessage()]
    assert said == ["relay waits: the fake orchestrator is away", "relay works again"]


def test_a_catalog_that_is_away_for_a_while_ends_nothing(tmp_path: Path) -> None:
    with running_press(f"sqlite:///{tmp_path / 'catalog.db'}") as press:
        bell = press.provision()
        with press.context.catalog.engine.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE attempts RENAME TO elsewhere")
        assert bell.ring().status_code == 202
        time.sleep(0.5)
        assert press.launcher.deliveries == []
        with press.context.catalog.engine.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE elsewhere RENAME TO attempts")
        assert eventually(lambda: len(press.launcher.deliveries) == 1)


def test_stopping_ends_the_thread_at_once(tmp_path: Path) -> None:
    with running_press(f"sqlite:///{tmp_path / 'catalog.db'}") as press:
        before = threading.active_count()
        dispatcher = BackgroundLoops(press.context, idle=60)
        dispatcher.start()
        began = time.monotonic()
        dispatcher.stop()
        assert time.monotonic() - began < 2
        assert threading.active_count() == before
