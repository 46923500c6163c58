"""Pruning: what was written long ago, or beyond a count, and that nothing needs any more is deleted."""
