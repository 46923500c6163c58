"""A registry that gives no answer is asked once in a run; other hosts, platforms and accounts go on."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import insert, select

from bootpress.adapters.oci.limits import Limits
from bootpress.adapters.oci.registries import OciRegistries
from bootpress.core.errors import RegistryDenied, RegistryUnavailable, RegistryUnreachable
from bootpress.core.ports import Registry, RegistryConnection
from bootpress.core.publications.models import Publication
from bootpress.core.references import Repository
from bootpress.core.retention.reports import SweepReport
from bootpress.core.retention.sweep import sweep, sweep_platform
from bootpress.core.retention.unreachable import MAX_KNOWN, MAX_REASON, SECONDS_FOR_OTHERS, Unreachable
from tests.support.layouts import LayoutRegistry
from tests.support.retention_harness import RetentionHarness

REAL = {"127.0.0.1:5000"}
ACCOUNT = uuid4()


class Silent:
    """A server that takes connections and says nothing; it counts them."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self._held: list[socket.socket] = []
        self.host = f"127.0.0.1:{self._server.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def asked(self) -> int:
        return len(self._held)

    def _accept(self) -> None:
        while True:
            try:
                self._held.append(self._server.accept()[0])
            except OSError:
                return

    def close(self) -> None:
        for one in [self._server, *self._held]:
            one.close()


@contextmanager
def silence() -> Iterator[Silent]:
    silent = Silent()
    try:
        yield silent
    finally:
        silent.close()


class Mixed:
    """The port Registries where one host is the yard's, and every other is asked over the wire, once and briefly."""

    def __init__(self) -> None:
        self.layout: Registry = LayoutRegistry()
        self.wire = OciRegistries(limits=Limits(tries=1, silence_seconds=0.3, request_seconds=1))

    def open(self, connection: RegistryConnection) -> Registry:
        return self.layout if connection.host in REAL else self.wire.open(connection)


@pytest.fixture
def mixed() -> Iterator[Mixed]:
    mixed = Mixed()
    yield mixed
    mixed.wire.close()


@pytest.fixture
def yard(catalog_url: str, mixed: Mixed) -> Iterator[RetentionHarness]:
    yard = RetentionHarness(catalog_url, registries=mixed)
    mixed.layout = yard.registry
    yield yard
    yard.catalog.close()


def due_at(yard: RetentionHarness, host: str, count: int, *, slug: str) -> list[UUID]:
    """Let a platform have so many publications that are due at a host."""
    like = yard.publish()
    with yard.catalog.transaction() as session:
        row = session.execute(select(Publication.__table__).where(Publication.id == like)).mappings().one()
        platform_id = yard.call("system_get_node_platform", id=slug)["node_platform"]["id"]
        rows = [
            {
                **row,
                "id": uuid4(),
                "node_platform_id": UUID(platform_id),
                "repository": f"{host}/os/images",
                "oci_digest": f"sha256:{number:064x}",
                "status": "retired",
                "retired_at": yard.clock.now() - timedelta(days=8, minutes=count - number),
            }
            for number in range(count)
        ]
        session.execute(insert(Publication), rows)
    return [one["id"] for one in rows]


def test_a_silent_registry_is_asked_once_for_all_images_platforms_and_accounts(yard: RetentionHarness) -> None:
    due = yard.due(yard.images.image())
    with silence() as silent:
        repository = f"{silent.host}/os/images"
        yard.platform("a-silent", oci_repository=repository)
        yard.platform("b-silent", oci_repository=repository)
        first, *_ = due_at(yard, silent.host, 3, slug="a-silent")
        due_at(yard, silent.host, 4, slug="b-silent")
        with pytest.raises(RegistryUnavailable, match=f"publication {first} could not be purged, and 6 more") as error:
            sweep(yard.context, account_id=None, platform=None, actor="test")
        assert silent.asked == 1
    assert yard.publication(due).status == "purged"
    assert f"2 of the platform {yard.call('system_get_node_platform', id='a-silent')['node_platform']['id']}" in str(
        error.value
    )


def test_a_report_counts_what_was_not_tried_and_lists_one(yard: RetentionHarness) -> None:
    with silence() as silent:
        yard.platform("a-silent", oci_repository=f"{silent.host}/os/images")
        ids = due_at(yard, silent.host, 300, slug="a-silent")
        platform_id = UUID(yard.call("system_get_node_platform", id="a-silent")["node_platform"]["id"])
        report = sweep_platform(yard.context, platform_id, actor="test")
        assert [one.publication_id for one in report.failed] == ids[:1]
        [untried] = report.untried
        assert (untried.platform_id, untried.host, untried.count) == (platform_id, silent.host, 299)
        assert "GET" in untried.because
        # The next task of the run is told, and asks nobody.
        asked = silent.asked
        report = sweep_platform(yard.context, platform_id, actor="test", unreachable=report.unreachable)
        assert (report.count("failed"), report.left_count, silent.asked) == (1, 300, asked)
        # The next run asks again.
        sweep_platform(yard.context, platform_id, actor="test")
        assert silent.asked == asked + 1


def test_another_name_that_is_silent_is_asked_once_and_holds_up_no_other_purge(yard: RetentionHarness) -> None:
    digests = [yard.images.image() for _ in range(3)]
    ids = [yard.publish(digest=digest) for digest in digests]
    free = yard.publish()
    yard.make_default(yard.publish())
    yard.sweep()
    with silence() as silent:
        yard.platform("other")
        for digest in digests:
            there = yard.publish(slug="other", digest=digest)
            yard.set_fields(there, repository=f"{silent.host}/os/images")
        yard.clock.advance(days=7)
        report = sweep_platform(yard.context, yard.edge, actor="test")
        assert silent.asked == 1
    assert report.purged == (free,)
    assert {one.publication_id for one in report.kept} == set(ids)
    assert all(silent.host in one.because for one in report.kept)


def test_what_one_account_may_not_do_gives_the_registry_up_for_nobody() -> None:
    run, connection, registry = Unreachable(), RegistryConnection("a", "registry.example"), LayoutRegistry()
    with pytest.raises(RegistryDenied), run.asking(ACCOUNT, connection, registry):
        raise RegistryDenied("not you")
    with pytest.raises(RegistryUnavailable, match="this image"), run.asking(ACCOUNT, connection, registry):
        raise RegistryUnavailable("this image cannot be read")
    with run.asking(ACCOUNT, connection, registry):
        pass


def test_a_registry_that_answers_nothing_well_is_given_up_for_its_host_and_scheme() -> None:
    run, connection, registry = Unreachable(), RegistryConnection("a", "registry.example"), LayoutRegistry()
    registry.away.add("check")
    with pytest.raises(RegistryUnreachable), run.asking(ACCOUNT, connection, registry):
        raise RegistryUnavailable("answers 503")
    again = Unreachable(run.reasons)
    with pytest.raises(RegistryUnreachable, match="answers 503"), again.asking(ACCOUNT, connection, registry):
        pytest.fail("it was asked")
    with again.asking(ACCOUNT, RegistryConnection("b", "registry.example", plain_http=True), registry):
        pass


def test_what_one_accounts_connection_does_not_reach_others_reach() -> None:
    run, registry = Unreachable(), LayoutRegistry()
    own, bare = RegistryConnection("own", "registry.example", "user", "token"), bare_to("registry.example")
    with pytest.raises(RegistryUnreachable), run.asking(ACCOUNT, own, registry):
        raise RegistryUnreachable("its certificate is not valid")
    with run.asking(uuid4(), own, registry), run.asking(uuid4(), bare, registry), run.asking(ACCOUNT, bare, registry):
        pass
    with pytest.raises(RegistryUnreachable, match="gave no answer before"), run.asking(ACCOUNT, own, registry):
        pytest.fail("it was asked")


def test_without_a_connection_of_their_own_accounts_share_what_is_known() -> None:
    run, registry = Unreachable(), LayoutRegistry()
    with pytest.raises(RegistryUnreachable), run.asking(ACCOUNT, bare_to("registry.example"), registry):
        raise RegistryUnreachable("timed out")
    with (
        pytest.raises(RegistryUnreachable, match="timed out"),
        run.asking(uuid4(), bare_to("registry.example"), registry),
    ):
        pytest.fail("it was asked")


def test_what_tasks_hand_on_is_bounded() -> None:
    run, registry = Unreachable(), LayoutRegistry()
    for number in range(MAX_KNOWN + 3):
        with (
            pytest.raises(RegistryUnreachable),
            run.asking(ACCOUNT, bare_to(f"registry-{number}.example"), registry),
        ):
            raise RegistryUnreachable("x" * 2 * MAX_REASON)
    merged = SweepReport.merge([SweepReport(unreachable={"before": "x"}), SweepReport(unreachable=run.reasons)])
    assert len(run.reasons) == len(merged.unreachable) == MAX_KNOWN
    assert list(merged.unreachable)[-1] == f"registry-{MAX_KNOWN + 2}.example"
    assert {len(why) for why in merged.unreachable.values()} == {MAX_REASON}


@pytest.mark.parametrize("is_answered", [True, False])
def test_other_registries_of_an_account_take_so_long_in_all(*, is_answered: bool) -> None:
    now = [0.0]
    run, registry = Unreachable(monotonic=lambda: now[0]), LayoutRegistry()

    @contextmanager
    def slow(account_id: UUID, host: str) -> Iterator[None]:
        with run.asking_other(account_id, bare_to(host), registry, Repository(host, "os/images")):
            yield
            now[0] += 0.6 * SECONDS_FOR_OTHERS
            if not is_answered:
                raise RegistryUnavailable("this image cannot be read")

    for host in ("a.example", "b.example"):
        with suppress(RegistryUnavailable), slow(ACCOUNT, host):
            pass
    again = Unreachable(run.reasons)
    repository = Repository("c.example", "os/images")
    with (
        pytest.raises(RegistryUnreachable, match="in all"),
        again.asking_other(ACCOUNT, bare_to("c.example"), registry, repository),
    ):
        pytest.fail("it was asked")
    with again.asking_other(uuid4(), bare_to("c.example"), registry, repository):
        pass
    with again.asking(ACCOUNT, bare_to("c.example"), registry):  # to be purged
        pass


def test_a_repository_that_refuses_is_asked_once_in_a_run() -> None:
    run, registry = Unreachable(), LayoutRegistry()
    host, refused = "registry.example", Repository("registry.example", "os/images")
    with pytest.raises(RegistryDenied), run.asking_other(ACCOUNT, bare_to(host), registry, refused):
        raise RegistryDenied("not you")
    again = Unreachable(run.reasons)
    with (
        pytest.raises(RegistryUnreachable, match="not you"),
        again.asking_other(ACCOUNT, bare_to(host), registry, refused),
    ):
        pytest.fail("it was asked")
    with again.asking_other(ACCOUNT, bare_to(host), registry, Repository(host, "os/more")):
        pass


def bare_to(host: str) -> RegistryConnection:
    return RegistryConnection(host, host)
