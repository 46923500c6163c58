"""Embedded forge: the bare repositories of an account, their settings and pushes."""
