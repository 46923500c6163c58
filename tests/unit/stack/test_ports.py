from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bootpress.core.errors import Conflict, InvalidInput
from bootpress.stack.ports import PREFERRED, PortReservations, allocate_ports
from tests.support.ports import free_port


@pytest.fixture
def reservations() -> Iterator[PortReservations]:
    held = PortReservations()
    yield held
    held.release()


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    """Return the file of a home that has been given ports which nobody uses."""
    path = tmp_path / "ports.json"
    path.write_text(json.dumps({"api": free_port(), "prefect": free_port(), "registry": free_port()}))
    return path


def listener(port: int, host: str = "127.0.0.1") -> socket.socket:
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((host, port))
    server.listen()
    return server


def test_a_new_home_gets_ports_from_the_preferred_ones_on(tmp_path: Path, reservations: PortReservations) -> None:
    ports = allocate_ports(tmp_path / "ports.json", reservations)
    for name, first in PREFERRED.items():
        assert first <= getattr(ports, name) < first + 200
    assert json.loads((tmp_path / "ports.json").read_text()) == {
        "api": ports.api,
        "prefect": ports.prefect,
        "registry": ports.registry,
    }


def test_two_homes_that_start_at_once_get_different_ports(tmp_path: Path, reservations: PortReservations) -> None:
    others = PortReservations()
    try:
        one, other = (
            allocate_ports(tmp_path / "one.json", reservations),
            allocate_ports(tmp_path / "other.json", others),
        )
    finally:
        others.release()
    assert {one.api, one.prefect, one.registry} & {other.api, other.prefect, other.registry} == set()


def test_a_busy_port_is_passed_over_by_a_new_home(tmp_path: Path, reservations: PortReservations) -> None:
    first = allocate_ports(tmp_path / "first.json", reservations)
    reservations.release()
    with closing(listener(first.registry)):
        assert allocate_ports(tmp_path / "second.json", reservations).registry > first.registry


def test_a_home_keeps_its_ports(kept: Path, reservations: PortReservations) -> None:
    ports = allocate_ports(kept, reservations)
    assert {"api": ports.api, "prefect": ports.prefect, "registry": ports.registry} == json.loads(kept.read_text())


def test_a_kept_port_that_stays_busy_is_refused_with_a_hint(kept: Path, reservations: PortReservations) -> None:
    port = json.loads(kept.read_text())["prefect"]
    with closing(listener(port)), pytest.raises(Conflict, match=f"port {port}.* prefect") as refused:
        allocate_ports(kept, reservations, wait_seconds=0.2)
    assert refused.value.hint


def test_the_port_of_a_part_that_runs_elsewhere_is_kept_and_not_asked_for(
    kept: Path, reservations: PortReservations
) -> None:
    before = json.loads(kept.read_text())
    with closing(listener(before["registry"])):
        ports = allocate_ports(kept, reservations, unused=["registry"], wait_seconds=0.2)
    assert ports.registry == before["registry"]
    assert json.loads(kept.read_text()) == before


def test_a_part_that_runs_elsewhere_gets_no_port(tmp_path: Path, reservations: PortReservations) -> None:
    path = tmp_path / "ports.json"
    ports = allocate_ports(path, reservations, unused=["prefect", "registry"])
    assert (ports.prefect, ports.registry) == (0, 0)
    assert json.loads(path.read_text()) == {"api": ports.api}
    reservations.release()
    assert allocate_ports(path, reservations).prefect


@pytest.mark.parametrize("name", ["prefect", "registry"])
def test_two_parts_with_one_port_are_both_named_at_once(kept: Path, reservations: PortReservations, name: str) -> None:
    before = kept.read_text()
    port = json.loads(before)[name]
    ticks: list[int] = []
    with pytest.raises(InvalidInput, match=f"port {port} is this home's for its api and its {name}"):
        allocate_ports(kept, reservations, fixed=port, tick=lambda: ticks.append(1))
    assert ticks == []
    assert kept.read_text() == before


def test_a_kept_port_is_waited_for(kept: Path, reservations: PortReservations) -> None:
    server = listener(json.loads(kept.read_text())["api"])
    ticks = []

    def tick() -> None:
        ticks.append(1)
        server.close()

    allocate_ports(kept, reservations, tick=tick, wait_seconds=5)
    assert ticks


def test_a_port_that_the_operator_gave_is_taken_and_kept(kept: Path, reservations: PortReservations) -> None:
    wanted = free_port()
    assert allocate_ports(kept, reservations, fixed=wanted).api == wanted
    assert json.loads(kept.read_text())["api"] == wanted


def test_a_listener_on_every_address_makes_a_port_busy(kept: Path, reservations: PortReservations) -> None:
    with closing(listener(json.loads(kept.read_text())["api"], "0.0.0.0")), pytest.raises(Conflict):  # noqa: S104 - that is the case
        allocate_ports(kept, reservations, wait_seconds=0.1)


@pytest.mark.parametrize("port", [0, -1, 65_536])
def test_what_is_no_port_is_refused(tmp_path: Path, reservations: PortReservations, port: int) -> None:
    with pytest.raises(InvalidInput, match="is no port"):
        allocate_ports(tmp_path / "ports.json", reservations, fixed=port)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"api": "8480"}', '{"api": 70000}', '{"api": true}'])
def test_a_damaged_file_is_refused_not_replaced(tmp_path: Path, reservations: PortReservations, text: str) -> None:
    path = tmp_path / "ports.json"
    path.write_text(text)
    with pytest.raises(InvalidInput, match="remove it"):
        allocate_ports(path, reservations)
    assert path.read_text() == text


def test_an_address_of_another_machine_is_refused(tmp_path: Path, reservations: PortReservations) -> None:
    with pytest.raises(InvalidInput, match="no address of this machine"):
        allocate_ports(tmp_path / "ports.json", reservations, host="192.0.2.1")
