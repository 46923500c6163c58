"""The trade itself: rules, tables and use cases; no wire format, no door, no orchestrator."""
