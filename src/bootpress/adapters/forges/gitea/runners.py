"""Runners of a repository."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus

from bootpress.adapters.forges.gitea.part import Part
from bootpress.adapters.forges.gitea.paths import is_id, repository_path
from bootpress.adapters.forges.gitea.schemas import RunnerDocument, TokenDocument
from bootpress.adapters.forges.gitea.versions import Feature
from bootpress.core.ports import GitRepository, Runner


class Runners(Part):
    """Registers, lists and deregisters runners."""

    def registration_token(self, repository: GitRepository) -> str:
        """Return the token with which a runner registers for a repository; Gitea's API gives the same each time."""
        to = f"say the runner registration token of {repository}"
        path = repository_path(repository, "actions", "runners", "registration-token")
        return self._api.request("POST", path, to=to, feature=Feature.RUNNERS).read(TokenDocument, to=to).token

    def list_runners(self, repository: GitRepository) -> Sequence[Runner]:
        """List the runners that are registered for a repository."""
        found = self._api.paginate(
            repository_path(repository, "actions", "runners"),
            RunnerDocument,
            key="runners",
            to=f"list the runners of {repository}",
            feature=Feature.RUNNERS,
        )
        return [_runner(document) for document in found]

    def delete_runner(self, repository: GitRepository, runner_id: str) -> None:
        """Deregister a runner; an absent one is deregistered."""
        if is_id(runner_id):
            self._api.request(
                "DELETE",
                repository_path(repository, "actions", "runners", runner_id),
                to=f"deregister the runner {runner_id} of {repository}",
                accept={HTTPStatus.NOT_FOUND},
                feature=Feature.RUNNERS,
            )


def _runner(document: RunnerDocument) -> Runner:
    return Runner(
        id=str(document.id),
        name=document.name,
        is_online=document.status == "online",
        is_busy=document.busy,
        labels=tuple(label.name for label in document.labels or []),
        last_seen_at=None,
    )
