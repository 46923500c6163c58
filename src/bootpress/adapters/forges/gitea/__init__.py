"""Gitea, over its REST API: versions 1.25 and 1.26, and what is alike in those around them."""

from bootpress.adapters.forges.gitea.forge import GiteaForge
from bootpress.adapters.forges.gitea.limits import KeyedLocks, Limits
from bootpress.http_client.clock import Clock

__all__ = ["Clock", "GiteaForge", "KeyedLocks", "Limits"]
