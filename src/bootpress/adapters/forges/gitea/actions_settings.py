"""Actions secrets and variables; Gitea writes their names in capitals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus

from bootpress.adapters.forges.gitea.part import Part
from bootpress.adapters.forges.gitea.paths import repository_path
from bootpress.adapters.forges.gitea.schemas import SecretDocument, VariableDocument
from bootpress.core.ports import GitRepository


class ActionsSettings(Part):
    """Reads and writes what workflows are given."""

    def list_secrets(self, repository: GitRepository) -> Sequence[str]:
        """List the names of a repository's Actions secrets."""
        found = self._api.paginate(
            repository_path(repository, "actions", "secrets"), SecretDocument, to=f"list the secrets of {repository}"
        )
        return [secret.name for secret in found]

    def set_secret(self, repository: GitRepository, name: str, value: str) -> None:
        """Create or replace an Actions secret."""
        self._api.request(
            "PUT",
            repository_path(repository, "actions", "secrets", name),
            to=f"set the secret {name} of {repository}",
            body={"data": value},
            hide=value,
        )

    def delete_secret(self, repository: GitRepository, name: str) -> None:
        """Delete an Actions secret; an absent one is deleted."""
        self._api.request(
            "DELETE",
            repository_path(repository, "actions", "secrets", name),
            to=f"delete the secret {name} of {repository}",
            accept={HTTPStatus.NOT_FOUND},
        )

    def list_variables(self, repository: GitRepository) -> Mapping[str, str]:
        """Return a repository's Actions variables."""
        found = self._api.paginate(
            repository_path(repository, "actions", "variables"),
            VariableDocument,
            to=f"list the variables of {repository}",
        )
        return {variable.name: variable.data for variable in found}

    def set_variable(self, repository: GitRepository, name: str, value: str) -> None:
        """Create or replace an Actions variable."""
        path, to = repository_path(repository, "actions", "variables", name), f"set the variable {name} of {repository}"
        answer = self._api.request("POST", path, to=to, body={"value": value}, accept={HTTPStatus.CONFLICT}, hide=value)
        if answer.status == HTTPStatus.CONFLICT:
            self._api.request("PUT", path, to=to, body={"value": value}, hide=value)
