"""Where the embedded forge of an account keeps what.

    <owner>/<name>.git                          bare repositories, as git knows them
    .state/repositories/<owner>/<name>/         secrets (sealed), variables, switches, cache
    .state/pushes/                              one file for each push that nobody looked at yet
    .state/runs/<id>/                           one folder for each run: see `runs`

No owner begins with a dot, so `.state` is nobody's. The forges of all accounts lie side by side, in folders that are
called as the accounts' ids are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from bootpress.core.ports import GitRepository


def account_folder(forges: Path, account_id: UUID) -> Path:
    """Return the folder of an account's forge."""
    return forges / str(account_id)


def account_ids(names: Iterable[str]) -> Iterator[UUID]:
    """Yield the accounts whose ids, spelled as we do, are among names of folders."""
    for name in names:
        with suppress(ValueError):
            if str(account_id := UUID(name)) == name:
                yield account_id


@dataclass(frozen=True, slots=True)
class ForgeLayout:
    """The paths below the folder of an account's forge, which is open to our user alone."""

    root: Path

    def repository(self, repository: GitRepository) -> Path:
        """Return the folder of a bare repository."""
        return self.root / repository.owner / f"{repository.name}.git"

    def settings(self, repository: GitRepository) -> Path:
        """Return the folder of what is set for a repository."""
        return self.state / "repositories" / repository.owner / repository.name

    @property
    def state(self) -> Path:
        """Return the folder of everything but the repositories."""
        return self.root / ".state"

    @property
    def runs(self) -> Path:
        """Return the folder of the runs."""
        return self.state / "runs"

    @property
    def pushes(self) -> Path:
        """Return the folder of what was pushed."""
        return self.state / "pushes"

    @property
    def keeper(self) -> Path:
        """Return the file that the process holds locked whose runs they are."""
        return self.state / "keeper.lock"
