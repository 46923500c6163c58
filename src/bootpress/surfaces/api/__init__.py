"""The HTTP door: webhook receiver, operations, health, metrics."""
