"""Events: what happened, told once to whoever listens."""
