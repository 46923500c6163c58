"""Set-up (environment, system packages, built parts), which is standard library only, and diagrams drawn from the code.

Set-up runs before `.venv` exists; `tools.diagrams` runs in it, and no module of the set-up imports it.
"""
