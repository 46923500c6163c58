"""What is set for one repository."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path

from bootpress.adapters.forges.local import files
from bootpress.adapters.forges.local.values import Values
from bootpress.core.secrets_at_rest import SecretBox


@dataclass(frozen=True, slots=True)
class SettingsOf:
    """Secrets (sealed), variables and switches of a repository, in a folder."""

    folder: Path
    box: SecretBox

    @property
    def secrets(self) -> Values:
        """Return its secrets."""
        return Values.sealed(self.folder / "secrets", self.box)

    @property
    def variables(self) -> Values:
        """Return its variables."""
        return Values(self.folder / "variables")

    def has_runner(self) -> bool:
        """Tell whether its runs are run: the built-in runner serves every repository that has not dismissed it."""
        return not (self.folder / "runner_dismissed").exists()

    def dismiss_runner(self) -> None:
        """Let its runs wait from now on."""
        files.touch(self.folder / "runner_dismissed")

    def registration_token(self) -> str:
        """Return what a runner would register with, and take the built-in one back."""
        (self.folder / "runner_dismissed").unlink(missing_ok=True)
        kept = Values.sealed(self.folder / "kept", self.box)
        if "REGISTRATION_TOKEN" not in kept.names():
            kept.set("REGISTRATION_TOKEN", secrets.token_urlsafe(30))
        return kept.all()["REGISTRATION_TOKEN"]

    def are_actions_enabled(self) -> bool:
        """Tell whether workflows are run at all."""
        return not (self.folder / "actions_disabled").exists()

    def enable_actions(self) -> None:
        """Let workflows run."""
        (self.folder / "actions_disabled").unlink(missing_ok=True)
