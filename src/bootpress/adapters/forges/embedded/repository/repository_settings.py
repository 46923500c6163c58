"""What is set for one repository."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path

from bootpress.adapters.forges.embedded.repository import atomic_files
from bootpress.adapters.forges.embedded.repository.value_store import ValueStore
from bootpress.core.encryption import SecretCipher


@dataclass(frozen=True, slots=True)
class RepositorySettings:
    """Secrets (sealed), variables and switches of a repository, in a folder."""

    folder: Path
    box: SecretCipher

    @property
    def secrets(self) -> ValueStore:
        """Return its secrets."""
        return ValueStore.sealed(self.folder / "secrets", self.box)

    @property
    def variables(self) -> ValueStore:
        """Return its variables."""
        return ValueStore(self.folder / "variables")

    def has_runner(self) -> bool:
        """Tell whether its runs are run: the built-in runner serves every repository that has not dismissed it."""
        return not (self.folder / "runner_dismissed").exists()

    def disable_runner(self) -> None:
        """Let its runs wait from now on."""
        atomic_files.touch(self.folder / "runner_dismissed")

    def registration_token(self) -> str:
        """Return what a runner would register with, and take the built-in one back."""
        (self.folder / "runner_dismissed").unlink(missing_ok=True)
        kept = ValueStore.sealed(self.folder / "kept", self.box)
        if "REGISTRATION_TOKEN" not in kept.names():
            kept.set("REGISTRATION_TOKEN", secrets.token_urlsafe(30))
        return kept.all()["REGISTRATION_TOKEN"]

    def are_actions_enabled(self) -> bool:
        """Tell whether workflows are run at all."""
        return not (self.folder / "actions_disabled").exists()

    def enable_actions(self) -> None:
        """Let workflows run."""
        (self.folder / "actions_disabled").unlink(missing_ok=True)
