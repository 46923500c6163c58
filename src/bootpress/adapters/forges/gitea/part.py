"""What every part of the Gitea forge stands on."""

from __future__ import annotations

from bootpress.adapters.forges.gitea.api import GiteaApi
from bootpress.adapters.forges.gitea.limits import KeyedLocks


class Part:
    """A part of the port `Forge`."""

    def __init__(self, api: GiteaApi, turns: KeyedLocks) -> None:
        self._api, self._turns = api, turns
