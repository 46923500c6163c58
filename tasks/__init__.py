"""Prefect tasks: one retryable side effect each."""
