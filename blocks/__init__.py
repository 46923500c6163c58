"""Prefect blocks: what we talk to, with its secrets."""
