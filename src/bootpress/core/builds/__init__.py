"""Builds: dispatched at a forge, awaited, matched with the delivery that they end in."""
