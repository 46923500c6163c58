"""Ingest images in a process of its own, and tell by how much it grew: `python -m tests.support.measured_ingest FILE`.

FILE is an object: `trusted`, a file of certificates; `names`, the addresses of hosts; and `jobs`, each `{name, host,
plain_http, repository, trust, claims, limits}`. Each is announced and processed once, by the real core, adapter and
verifier. A line of JSON per job comes out: `{name, outcome, error, had, grown}`, the last two being the memory of the
process in bytes before the job, and how far its peak was beyond that. The first job should be honest: it pays for what
is loaded once.
"""

from __future__ import annotations

import gc
import json
import re
import ssl
import sys
import tempfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

from bootpress.adapters.oci import Limits, Network, OciRegistries
from bootpress.core import errors
from bootpress.core.ports import RegistryConnection
from tests.support.clocks import PerThreadSkippingClock
from tests.support.core_harness import CoreHarness
from tests.support.served_images import SECRET, USER


def main(file: Path) -> None:
    """Do the jobs one after the other."""
    told = json.loads(file.read_text())
    trusted = ssl.create_default_context(cafile=told["trusted"])
    names: dict[str, list[str]] = told["names"]
    network = Network(lambda: trusted, lambda host: names.get(host, [host]), lambda _: None)
    with tempfile.TemporaryDirectory() as folder:
        world = CoreHarness(f"sqlite:///{folder}/catalog.db")
        for number, job in enumerate(told["jobs"]):
            delivery_id = _announce(world, job, number)
            limits = Limits(**job["limits"])
            with closing(
                OciRegistries(limits=limits, timing=PerThreadSkippingClock().timing, network=network)
            ) as registries:
                world.context = replace(world.context, registries=registries)
                found = _measure(world, delivery_id)
            sys.stdout.write(json.dumps({"name": job["name"], **found}) + "\n")
            sys.stdout.flush()
        world.catalog.close()


def _announce(world: CoreHarness, job: dict[str, Any], number: int) -> UUID:
    connection = RegistryConnection(f"home-{number}", job["host"], USER, SECRET, plain_http=job["plain_http"])
    world.connections.save_registry(world.account_id, connection)
    world.platform(slug=f"edge-{number}", trust=job["trust"], oci_repository=job["repository"])
    return world.announce(slug=f"edge-{number}", ref=f"{job['repository']}:v1", **job["claims"])


def _measure(world: CoreHarness, delivery_id: UUID) -> dict[str, Any]:
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far (proc(5)); getrusage's is the parent's too
    had = _status("VmRSS")
    outcome = world.process(delivery_id)
    met = type(world.errors.pop()).__mro__ if world.errors else ()
    kinds = [kind.__name__ for kind in met if kind.__module__ == errors.__name__]
    return {"outcome": outcome, "errors": kinds, "had": had, "grown": _status("VmHWM") - had}


def _status(name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found
    return int(found[1]) * 1024


if __name__ == "__main__":
    main(Path(sys.argv[1]))
