"""Prefect: the worker that runs flows, and launching, connections, events and deployments through its API."""
