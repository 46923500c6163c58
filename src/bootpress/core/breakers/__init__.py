"""Circuit breakers: registry hosts that do not answer get fewer places, then pauses."""
