"""Ingest images in a process of its own, and tell by how much it grew: `python -m tests.support.measured_ingest JOBS`.

JOBS is a file with a list of `{name, host, repository, trust}`; each is announced and processed once, by the real core,
adapter and verifier. A line of JSON per job comes out: `{name, outcome, error, grown}`, the last being the peak of the
process's memory in bytes beyond what it had after the first job. That one should be honest: it pays for what is loaded
once.
"""

from __future__ import annotations

import gc
import json
import re
import sys
import tempfile
from pathlib import Path
from typing import Any
from uuid import UUID

from bootpress.adapters.oci import Limits, OciRegistries
from bootpress.core import errors
from bootpress.core.ports import RegistryConnection
from tests.support.core_world import World
from tests.support.quick_time import QuickThreads
from tests.support.served_images import SECRET, USER

LIMITS = Limits(request_seconds=5)


def main(jobs: Path) -> None:
    """Do the jobs one after the other."""
    with tempfile.TemporaryDirectory() as folder:
        registries = OciRegistries(limits=LIMITS, timing=QuickThreads().timing)
        world = World(f"sqlite:///{folder}/catalog.db", registries=registries)
        base = None
        for number, job in enumerate(json.loads(jobs.read_text())):
            connection = RegistryConnection(f"home-{number}", job["host"], USER, SECRET)
            world.connections.save_registry(world.account_id, connection)
            world.platform(slug=f"edge-{number}", trust=job["trust"], oci_repository=job["repository"])
            delivery_id = world.announce(slug=f"edge-{number}", ref=f"{job['repository']}:v1")
            peak, ending = _measure(world, delivery_id)
            base = base or _status("VmRSS")
            sys.stdout.write(json.dumps({"name": job["name"], "grown": peak - base, **ending}) + "\n")
            sys.stdout.flush()
        registries.close()
        world.catalog.close()


def _measure(world: World, delivery_id: UUID) -> tuple[int, dict[str, Any]]:
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far (proc(5)); getrusage's is the parent's too
    outcome = world.process(delivery_id)
    met = type(world.errors.pop()).__mro__ if world.errors else ()
    error = next((kind.__name__ for kind in met if kind.__module__ == errors.__name__), None)
    return _status("VmHWM"), {"outcome": outcome, "error": error}


def _status(name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found
    return int(found[1]) * 1024


if __name__ == "__main__":
    main(Path(sys.argv[1]))
