"""Node platforms: whom to trust, where images lie, what boots by default."""
