"""The port `Forge`, spoken to a Gitea."""

from __future__ import annotations

from bootpress.adapters.forges.gitea.actions_settings import ActionsSettings
from bootpress.adapters.forges.gitea.api import GiteaApi
from bootpress.adapters.forges.gitea.dispatch import WorkflowDispatch
from bootpress.adapters.forges.gitea.limits import KeyedLocks, Limits
from bootpress.adapters.forges.gitea.preflight import check
from bootpress.adapters.forges.gitea.repositories import Repositories
from bootpress.adapters.forges.gitea.runners import Runners
from bootpress.adapters.forges.gitea.runs import Runs
from bootpress.core.ports import ForgeInfo
from bootpress.http_client.clock import Clock


class GiteaForge(Repositories, ActionsSettings, WorkflowDispatch, Runs, Runners):
    """One Gitea, spoken to with one token; shared by threads, and constructing it does no I/O.

    `turns` is shared by all that dispatch from this process. Stock Gitea has no OIDC for Actions, and its API always
    gives a repository's current registration token.
    """

    has_oidc = False
    rotates_registration_token = False

    def __init__(
        self,
        url: str,
        token: str | None,
        *,
        turns: KeyedLocks | None = None,
        limits: Limits | None = None,
        timing: Clock | None = None,
    ) -> None:
        super().__init__(GiteaApi(url, token, limits=limits, timing=timing), turns or KeyedLocks())

    def __repr__(self) -> str:
        """Say where."""
        return f"GiteaForge({self._api.url!r})"

    def check(self, *, owner: str | None = None) -> ForgeInfo:
        """Make sure by calls that change nothing that this is a Gitea and that it accepts our token."""
        return check(self._api, owner)
