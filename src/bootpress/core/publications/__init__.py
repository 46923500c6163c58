"""Publications: a digest that was verified for a platform, and what became of it."""
