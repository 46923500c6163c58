"""HTTP API: webhook receiver, operations, health, metrics."""
