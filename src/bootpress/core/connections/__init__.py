"""Connections: what an account talks to."""
