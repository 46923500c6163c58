"""Deliveries: the durable queue between the webhook receiver and the ingest of an image."""
