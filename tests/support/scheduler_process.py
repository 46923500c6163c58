"""Run scheduler in a process of its own, to be killed: `python -m tests.support.scheduler_process ROOT KEY`."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from bootpress.adapters.forges.embedded import ForgeLayout, RunScheduler
from bootpress.core.encryption import SecretCipher


def command(root: Path, key: str) -> list[str]:
    """Return the command that runs the scheduler of a forge's folder."""
    return [sys.executable, "-m", __name__, str(root), key]


if __name__ == "__main__":
    RunScheduler(ForgeLayout(Path(sys.argv[1])), SecretCipher([sys.argv[2]])).start()
    time.sleep(300)
