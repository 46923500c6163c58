"""The blocks that describe forges."""

from __future__ import annotations

from prefect.blocks.core import Block
from pydantic import Field, SecretStr

from bootpress.core.ports import ForgeConnection, ForgeKind


class GiteaForge(Block):
    """A Gitea and a token of it; saved by `system_connect_forge` as `<account>-<name>`."""

    _block_type_name = "GiteaForge"
    _block_type_slug = "giteaforge"
    _description = "A Gitea that builds disk images, and the token that bootpress sets it up with."

    url: str = Field(description="Base of its pages: https://gitea.example")
    token: SecretStr = Field(description="Access token with the scopes write:repository and read:user")

    def connection(self, name: str) -> ForgeConnection:
        """Return what the core calls it."""
        return ForgeConnection(name, ForgeKind.GITEA, self.url, self.token.get_secret_value() or None)


class LocalForge(Block):
    """The embedded forge: bare git repositories in a folder of this machine, and their workflows."""

    _block_type_name = "LocalForge"
    _block_type_slug = "localforge"
    _description = "Git repositories in a folder of this machine, whose build workflows bootpress runs itself."

    url: str = Field(description="Its folder, as a file:// URL; to look at: where it is follows from the account")

    def connection(self, name: str) -> ForgeConnection:
        """Return what the core calls it."""
        return ForgeConnection(name, ForgeKind.LOCAL, self.url)
