"""Set-up: environment, system packages, built parts. Standard library only: it runs before `.venv` exists."""
