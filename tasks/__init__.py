"""Prefect tasks: one retryable side effect each; they call one core service and pass ids."""
