"""Sagas: calls that a flow carries out step by step, and that resume after a crash."""
