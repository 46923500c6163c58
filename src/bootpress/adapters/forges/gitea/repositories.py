"""Repositories and the files in them."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from http import HTTPStatus

from bootpress.adapters.forges.gitea.api import TooLarge
from bootpress.adapters.forges.gitea.limits import MIB
from bootpress.adapters.forges.gitea.part import Part
from bootpress.adapters.forges.gitea.paths import file_path, owner_path, repository_path, short_ref, with_query
from bootpress.adapters.forges.gitea.schemas import ContentDocument, RepositoryDocument, TreeDocument
from bootpress.core.errors import ForgeRefused, ForgeUnavailable, NotFound
from bootpress.core.ports import GitRepository, RepositoryInfo

MAX_FILE = MIB
TREE_PAGE = 1000


class Repositories(Part):
    """Finds, creates and fills repositories."""

    def find_repository(self, repository: GitRepository) -> RepositoryInfo | None:
        """Return a repository, or None if there is none that we may see."""
        found = self._find(repository)
        return self._info(found) if found else None

    def create_repository(self, repository: GitRepository, *, user: str | None = None) -> RepositoryInfo:
        """Create an empty private repository, its Actions enabled; the one that is there counts as created."""
        user = self._api.user(said=user)
        is_ours = repository.owner.lower() == user.lower()
        answer = self._api.request(
            "POST",
            "/user/repos" if is_ours else owner_path("orgs", repository.owner, "repos"),
            to=f"create the repository {repository}",
            body={"name": repository.name, "private": True, "auto_init": False},
            accept={HTTPStatus.CONFLICT, HTTPStatus.NOT_FOUND},
        )
        if answer.status == HTTPStatus.NOT_FOUND:
            raise self._no_organisation(repository.owner, user)
        if answer.status == HTTPStatus.CONFLICT:
            return self._existing(repository)
        created = answer.read(RepositoryDocument, to=f"create the repository {repository}")
        return self._info(created if created.has_actions else self._enable_actions(repository))

    def enable_actions(self, repository: GitRepository) -> None:
        """Let a repository run workflows; ForgeRefused where the whole Gitea runs none."""
        self._enable_actions(repository)

    def read_file(self, repository: GitRepository, path: str, *, ref: str | None = None) -> bytes | None:
        """Return a file of at most 1 MiB at a branch, tag or commit, or None.

        Not by the API's `raw`: of a ref that does not exist, that gives the file of the default branch.
        """
        to = f"read {path} of {repository}"
        too_large = ForgeRefused(f"{path} of {repository} has more than {MAX_FILE} bytes", hint="make it smaller")
        where = with_query(file_path(repository, path), **({"ref": short_ref(ref)} if ref else {}))
        try:
            answer = self._api.request("GET", where, to=to, accept={HTTPStatus.NOT_FOUND})
        except TooLarge as error:
            raise too_large from error
        if answer.status == HTTPStatus.NOT_FOUND:
            self._require(repository)
            return None
        if isinstance(answer.document(to=to), list):  # a folder
            return None
        found = answer.read(ContentDocument, to=to)
        if found.type != "file":
            return None
        if found.size > MAX_FILE:
            raise too_large
        return _decode(found, to=to)

    def add_files(self, repository: GitRepository, files: Mapping[str, bytes], *, message: str) -> Sequence[str]:
        """Commit those files that are not there, all at once; return their paths. Overwrites nothing."""
        to = f"add files to {repository}"
        for path in files:
            file_path(repository, path)
        absent = self._absent_of(repository, files)
        for is_last in (False, True):
            if not absent:
                return []
            creations = [
                {"operation": "create", "path": path, "content": base64.b64encode(files[path]).decode()}
                for path in absent
            ]
            answer = self._api.request(
                "POST",
                repository_path(repository, "contents"),
                to=to,
                body={"files": creations, "message": message},
                accept=() if is_last else {HTTPStatus.UNPROCESSABLE_ENTITY},
            )
            if answer.status != HTTPStatus.UNPROCESSABLE_ENTITY:
                return absent
            # Somebody else added one of them meanwhile, or our own first try did and its answer was lost.
            absent, before = self._absent_of(repository, files), absent
            if absent == before:
                raise ForgeRefused(f"Gitea refuses to {to}: {answer.quotable}")
        raise AssertionError("unreachable: the last try returns or raises")

    def _find(self, repository: GitRepository) -> RepositoryDocument | None:
        to = f"read the repository {repository}"
        answer = self._api.request("GET", repository_path(repository), to=to, accept={HTTPStatus.NOT_FOUND})
        return None if answer.status == HTTPStatus.NOT_FOUND else answer.read(RepositoryDocument, to=to)

    def _existing(self, repository: GitRepository) -> RepositoryInfo:
        found = self._find(repository)
        if found is None:
            raise ForgeRefused(
                f"there is a repository {repository}, and our token may not see it",
                hint="let the token's user administer it, or choose another name",
            )
        return self._info(found)

    def _info(self, found: RepositoryDocument) -> RepositoryInfo:
        repository = GitRepository(found.owner.login, found.name)
        return RepositoryInfo(
            repository,
            default_branch=found.default_branch,
            is_empty=found.empty,
            actions_enabled=found.has_actions,
            may_administer=self._may_administer(repository, found),
            url=found.html_url,
        )

    def _may_administer(self, repository: GitRepository, found: RepositoryDocument) -> bool:
        """Tell whether we may set secrets: for Gitea an owner may, and an administrator who is none may not."""
        if found.permissions is None or not found.permissions.admin:
            return False
        if repository.owner.lower() == self._api.user().lower():
            return True
        answer = self._api.request(
            "GET",
            with_query(repository_path(repository, "actions", "secrets"), page=1, limit=1),
            to=f"list the secrets of {repository}",
            accept={HTTPStatus.FORBIDDEN},
        )
        return answer.status != HTTPStatus.FORBIDDEN

    def _no_organisation(self, owner: str, user: str) -> ForgeRefused:
        answer = self._api.request(
            "GET", owner_path("users", owner), to=f"read the user {owner}", accept={HTTPStatus.NOT_FOUND}
        )
        if answer.status == HTTPStatus.NOT_FOUND:
            return ForgeRefused(
                f"Gitea has no organisation {owner}", hint=f"create it there first, or use {user} as the owner"
            )
        return ForgeRefused(
            f"{owner} is another user, and our token is of {user}",
            hint=f"use {user} or an organisation as the owner, or connect the forge with a token of {owner}",
        )

    def _enable_actions(self, repository: GitRepository) -> RepositoryDocument:
        to = f"enable Actions of {repository}"
        answer = self._api.request("PATCH", repository_path(repository), to=to, body={"has_actions": True})
        changed = answer.read(RepositoryDocument, to=to)
        if not changed.has_actions:
            raise actions_disabled()
        return changed

    def _require(self, repository: GitRepository) -> None:
        """Raise NotFound unless a repository is there: what is not in it may be because it is not."""
        if self._find(repository) is None:
            raise NotFound(f"Gitea has no repository {repository} that our token may see")

    def _absent_of(self, repository: GitRepository, files: Mapping[str, bytes]) -> list[str]:
        if not files:
            return []
        there = self._list_tree(repository)
        return [path for path in files if path not in there]

    def _list_tree(self, repository: GitRepository) -> set[str]:
        """Return every path of the default branch; none of a repository that is empty."""
        to, paths = f"list the files of {repository}", set[str]()
        for number in range(1, self._api.limits.pages + 1):
            answer = self._api.request(
                "GET",
                with_query(
                    repository_path(repository, "git", "trees", "HEAD"),
                    recursive="true",
                    page=number,
                    per_page=TREE_PAGE,
                ),
                to=to,
                accept={HTTPStatus.BAD_REQUEST},
            )
            if answer.status == HTTPStatus.BAD_REQUEST:
                if "sha not found" in answer.message:  # it is empty; were it not, creating a file would be refused
                    return paths
                raise ForgeRefused(f"Gitea refuses to {to}: {answer.quotable}")
            page = answer.read(TreeDocument, to=to)
            paths.update(entry.path for entry in page.tree or [])
            if not page.truncated:
                return paths
        raise ForgeRefused(
            f"{repository} has more files than we read", hint="use a repository of its own for the build"
        )


def actions_disabled() -> ForgeRefused:
    """Say that the whole Gitea runs no workflows."""
    return ForgeRefused(
        "Actions are disabled on this Gitea", hint="set ENABLED = true under [actions] in its app.ini, and restart it"
    )


def _decode(found: ContentDocument, *, to: str) -> bytes:
    try:
        if found.encoding != "base64" or found.content is None:
            raise ValueError("no base64")  # noqa: TRY301 - one way to say that it cannot be read
        return base64.b64decode(found.content, validate=True)
    except (ValueError, binascii.Error) as error:
        raise ForgeUnavailable(f"asked to {to}, Gitea answers without its content") from error
