"""What goes wrong with the processes of a stack."""

from __future__ import annotations

from bootpress.core.errors import BootpressError


class StackFailed(BootpressError):
    """A part of the stack does not come up, or does not stay up."""


class Stopped(Exception):
    """A signal asked the stack to stop while it was starting."""
