"""Run runners as containers, through the Docker SDK."""

from __future__ import annotations

from bootpress.core.errors import Unsupported
from bootpress.core.ports import RunnerHost


class DockerHosts:
    """The port `RunnerHosts`."""

    def open(self, url: str | None) -> RunnerHost:
        """Return a host by the URL of its Docker daemon; None is this machine's."""
        raise Unsupported(f"there is no adapter for the Docker host {url or 'of this machine'} yet")
