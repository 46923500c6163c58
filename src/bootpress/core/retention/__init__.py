"""Retention: how many publications a platform keeps, and what is deleted of the others."""
