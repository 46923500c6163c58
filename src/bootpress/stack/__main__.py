"""`python -m bootpress.stack`: the stack without the command line around it."""

from __future__ import annotations

import sys

from bootpress.core.errors import BootpressError
from bootpress.settings import Settings
from bootpress.stack.up import up

if __name__ == "__main__":
    try:
        up(Settings())
    except BootpressError as failure:
        sys.exit(str(failure))
