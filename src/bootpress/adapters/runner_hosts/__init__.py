"""Docker hosts on which runners run."""

from bootpress.adapters.runner_hosts.docker_hosts import DockerHosts

__all__ = ["DockerHosts"]
