"""CI workers: the build repository of a label, its secrets, its signing key, and the runners that belong to it."""
