"""Record the vectors anew: `make vectors`, or `python -m tests.record_vectors [--replace] [FOLDER]`.

Without a folder they go to a new one, whose name is printed; `--replace` puts them in the place of those in
tests/assets. Either way each must give its expected result first, or nothing is kept.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from bootpress.adapters.cosign.verifier import CosignVerifier
from bootpress.core.errors import SignatureRejected
from tests.support import postgres
from tests.support import services as parts
from tests.support.registry import running_registry
from tests.support.sigstore_live import running_sigstore
from tests.support.vector_recorder import VectorRecorder, record
from tests.support.vectors import VECTORS, Vector, load_vectors


def main() -> None:
    """Record, check, keep."""
    reader = argparse.ArgumentParser(prog="make vectors", description=__doc__)
    reader.add_argument("folder", nargs="?", type=Path, help="where to; a new folder if it is left out")
    reader.add_argument("--replace", action="store_true", help="replace the vectors in tests/assets")
    told = reader.parse_args()
    if told.folder and told.replace:
        reader.error("give a folder, or --replace")
    with tempfile.TemporaryDirectory(prefix="bootpress-recording-") as scratch:
        recorded = Path(scratch) / "vectors"
        try:
            _record(recorded, Path(scratch))
        except parts.MissingPart as missing:
            sys.exit(f"error: {missing}")
        wrong = [vector.name for vector in load_vectors(recorded).values() if is_accepted(vector) != vector.is_good]
        if wrong:
            sys.exit(f"error: not as expected, so nothing is kept: {', '.join(wrong)}")
        target = VECTORS if told.replace else told.folder or Path(tempfile.mkdtemp(prefix="bootpress-vectors-"))
        _keep(recorded, target)
    sys.stdout.write(f"{len(load_vectors(target))} vectors, each with its expected result: {target}\n")


def is_accepted(vector: Vector) -> bool:
    """Tell what the verifier says of a vector."""
    try:
        CosignVerifier().verify(vector.open(), vector.repository, vector.digest, vector.policy)
    except SignatureRejected:
        return False
    return True


def _record(target: Path, scratch: Path) -> None:
    with (
        postgres.cluster() as cluster,
        running_sigstore(cluster.create_database()) as services,
        running_registry(scratch / "registry") as host,
    ):
        record(target, VectorRecorder(services, host, scratch))


def _keep(recorded: Path, target: Path) -> None:
    """Copy the cases over those of the same name; what else lies there, such as a README, stays."""
    for name in load_vectors(recorded):
        shutil.rmtree(target / name, ignore_errors=True)
    shutil.copytree(recorded, target, dirs_exist_ok=True)


if __name__ == "__main__":
    main()
