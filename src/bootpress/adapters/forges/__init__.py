"""Forges: Gitea over HTTP, and the embedded one on this machine."""

from bootpress.adapters.forges.opening import OpenForges

__all__ = ["OpenForges"]
