"""Forges as they are: the embedded one here, and Gitea."""
