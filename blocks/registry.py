"""The block that describes an OCI registry."""

from __future__ import annotations

from prefect.blocks.core import Block
from pydantic import Field, SecretStr

from bootpress.core.ports import RegistryConnection


class OciRegistry(Block):
    """An OCI registry and the credential for it; saved by `system_connect_registry` as `<account>-<name>`."""

    _block_type_name = "OciRegistry"
    _block_type_slug = "ociregistry"
    _description = "An OCI registry that holds disk images, and the credential that bootpress reads and deletes with."

    host: str = Field(description="Host, with its port where it has one: registry.example or 127.0.0.1:5000")
    username: str | None = Field(default=None, description="User of the credential; none for anonymous access")
    token: SecretStr | None = Field(default=None, description="Password or access token of that user")
    plain_http: bool = Field(default=False, description="Allow HTTP to a host that is not this machine")

    def connection(self, name: str) -> RegistryConnection:
        """Return what the core calls it."""
        return RegistryConnection(
            name=name,
            host=self.host,
            username=self.username,
            token=self.token.get_secret_value() if self.token else None,
            plain_http=self.plain_http,
        )
