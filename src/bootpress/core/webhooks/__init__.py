"""Webhooks: their secrets, their rotation, and the check of a signature."""
