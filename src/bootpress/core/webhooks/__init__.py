"""Webhooks and their deliveries: who may ring the bell, and that no ring is lost."""
