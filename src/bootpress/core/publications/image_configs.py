"""Image configs: ours, OCI's (image-spec 1.1, config.md) and Docker's, of which the architecture is used.

Every member that readers of these kinds know is named, so that no other spelling of it passes for unknown.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from bootpress.core.documents import Document
from bootpress.core.errors import ContentRejected, InvalidInput


class _HealthCheck(Document):
    test: Any = Field(None, alias="Test")
    interval: Any = Field(None, alias="Interval")
    timeout: Any = Field(None, alias="Timeout")
    start_period: Any = Field(None, alias="StartPeriod")
    start_interval: Any = Field(None, alias="StartInterval")
    retries: Any = Field(None, alias="Retries")


class _Execution(Document):
    """What a container of the image runs (config.md, "config"), and what Docker adds to it."""

    user: Any = Field(None, alias="User")
    exposed_ports: Any = Field(None, alias="ExposedPorts")
    env: Any = Field(None, alias="Env")
    entrypoint: Any = Field(None, alias="Entrypoint")
    cmd: Any = Field(None, alias="Cmd")
    volumes: Any = Field(None, alias="Volumes")
    working_dir: Any = Field(None, alias="WorkingDir")
    labels: Any = Field(None, alias="Labels")
    stop_signal: Any = Field(None, alias="StopSignal")
    stop_timeout: Any = Field(None, alias="StopTimeout")
    args_escaped: Any = Field(None, alias="ArgsEscaped")
    memory: Any = Field(None, alias="Memory")
    memory_swap: Any = Field(None, alias="MemorySwap")
    cpu_shares: Any = Field(None, alias="CpuShares")
    health_check: _HealthCheck | None = Field(None, alias="Healthcheck")
    host_name: Any = Field(None, alias="Hostname")
    domain_name: Any = Field(None, alias="Domainname")
    attach_stdin: Any = Field(None, alias="AttachStdin")
    attach_stdout: Any = Field(None, alias="AttachStdout")
    attach_stderr: Any = Field(None, alias="AttachStderr")
    tty: Any = Field(None, alias="Tty")
    open_stdin: Any = Field(None, alias="OpenStdin")
    stdin_once: Any = Field(None, alias="StdinOnce")
    image: Any = Field(None, alias="Image")
    network_disabled: Any = Field(None, alias="NetworkDisabled")
    mac_address: Any = Field(None, alias="MacAddress")
    on_build: Any = Field(None, alias="OnBuild")
    shell: Any = Field(None, alias="Shell")


class _RootFilesystem(Document):
    type: Any = None
    diff_ids: Any = None
    base_layer: Any = None


class _History(Document):
    created: Any = None
    created_by: Any = None
    author: Any = None
    comment: Any = None
    empty_layer: Any = None


class ContainerConfig(Document):
    """The config of a container image, of OCI or of Docker."""

    architecture: Any = None
    variant: Any = None
    os: Any = None
    os_version: Any = Field(None, alias="os.version")
    os_features: Any = Field(None, alias="os.features")
    created: Any = None
    author: Any = None
    config: _Execution | None = None
    rootfs: _RootFilesystem | None = None
    history: list[_History] | None = None
    id: Any = None
    parent: Any = None
    comment: Any = None
    container: Any = None
    container_config: _Execution | None = None
    docker_version: Any = None
    throwaway: Any = None
    size: Any = Field(None, alias="Size")


class DiskImageConfig(Document):
    """The config of a disk image of ours."""

    schema_version: Any = Field(None, alias="schemaVersion")
    os: Any = None
    architecture: Any = None
    kernel_version: Any = Field(None, alias="kernelVersion")
    cmdline: Any = None
    base_format: Any = Field(None, alias="baseFormat")
    composefs_digest: Any = Field(None, alias="composefsDigest")
    source_date_epoch: Any = Field(None, alias="sourceDateEpoch")


CONFIGS: dict[str, type[ContainerConfig | DiskImageConfig]] = {
    "application/vnd.bootpress.image.config.v1+json": DiskImageConfig,
    "application/vnd.oci.image.config.v1+json": ContainerConfig,
    "application/vnd.docker.container.image.v1+json": ContainerConfig,
}
"""Configs that state an architecture, by their media types."""


def read_architecture(raw: bytes, media_type: str) -> str | None:
    """Return the architecture that a config of one of these media types states; ContentRejected if it is none."""
    try:
        stated = CONFIGS[media_type].read(raw, what="the image's config").architecture
    except InvalidInput as error:
        raise ContentRejected(error.message) from error
    if stated is not None and not isinstance(stated, str):
        raise ContentRejected("the image's config states an architecture that is no text")
    return stated or None
