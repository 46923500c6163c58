"""A running API on each database, and one that tests share which leave nothing behind but rows."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.api import ApiServer, WebhookClient, running_press


@pytest.fixture
def press(catalog_url: str) -> Iterator[ApiServer]:
    with running_press(catalog_url) as running:
        yield running


@pytest.fixture
def bell(press: ApiServer) -> WebhookClient:
    return press.provision()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """Serve one API for the tests of a module whose answers no database decides."""
    with running_press(f"sqlite:///{tmp_path_factory.mktemp('shared') / 'catalog.db'}") as running:
        yield running


@pytest.fixture
def shared_bell(shared: ApiServer, request: pytest.FixtureRequest) -> WebhookClient:
    """A webhook of the test's own at the shared API."""
    return shared.provision(request.node.name[:150])
