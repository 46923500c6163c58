"""A PostgreSQL that lets nobody in: every door says 503 and when to come back, and works again afterwards."""

from __future__ import annotations

import pytest

from tests.integration.api.test_webhook import is_problem
from tests.support.api import announcement, running_press
from tests.support.postgres import Cluster


@pytest.mark.part("postgresql")
def test_a_postgresql_that_is_away_is_503_at_every_door(postgres_cluster: Cluster, postgres_catalog: str) -> None:
    with running_press(postgres_catalog) as press:
        bell = press.provision()
        assert bell.ring(announcement(run_id=1)).status_code == 202
        with postgres_cluster.closed(postgres_catalog):
            for answer in (bell.ring(announcement(run_id=2)), press.call("recent_events")):
                is_problem(answer, 503)
                assert int(answer.headers["retry-after"]) >= 1
                assert str(press.context.catalog.url.password) not in answer.text
            is_problem(press.http.get("/readyz"), 503)
            assert press.http.get("/healthz").status_code == 200
        assert press.http.get("/readyz").status_code == 200
        assert bell.ring(announcement(run_id=2)).status_code == 202
        assert len(press.called("system_list_disk_image_deliveries")["deliveries"]) == 2
