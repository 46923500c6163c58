"""Doors to the operations, one folder each: they translate and decide nothing."""
