"""Where jobs have an identity the template signs without a key: real cosign, real services, real verifier."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bootpress.adapters.oci import OciRegistries
from tests.support.build_repository import Checkout, link_programs
from tests.support.core_harness import CoreHarness
from tests.support.registries import RunningRegistry
from tests.support.sigstore_live import FORGE, MAIN, Sigstore

pytestmark = [
    pytest.mark.part("image-tools"),
    pytest.mark.part("oras"),
    pytest.mark.part("cosign2"),
    pytest.mark.part("cosign3"),
    pytest.mark.part("docker-registry"),
]


@contextmanager
def identities(token: str) -> Iterator[dict[str, str]]:
    """Give a job its identity token as forges with OIDC do; yield the variables that say where it is had."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = self.headers["Authorization"] == "Bearer of-the-job" and "audience=sigstore" in self.path
            body = json.dumps({"value": token}).encode()
            self.send_response(200 if known else 401)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield {
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"http://127.0.0.1:{server.server_port}/token?job=1",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "of-the-job",
        }
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize("major", [2, 3])
def test_a_job_with_an_identity_signs_with_it_and_is_published(
    sigstore: Sigstore, open_registry: Callable[[str], RunningRegistry], tmp_path: Path, major: int
) -> None:
    registry = open_registry("docker-registry")
    checkout = Checkout(tmp_path / "checkout", link_programs(tmp_path / "programs", cosign=major), key="")
    # Cosign reads its options from the environment too: so an operator names services of his own.
    services = {
        2: {
            "COSIGN_FULCIO_URL": sigstore.fulcio,
            "COSIGN_REKOR_URL": sigstore.rekor1,
            **sigstore.cosign2_environment(),
        },
        3: {
            "COSIGN_SIGNING_CONFIG": str(sigstore.signing_config(2)),
            "COSIGN_TRUSTED_ROOT": str(sigstore.trusted_root_file),
        },
    }[major]
    checkout.env |= {
        "GITHUB_REPOSITORY": f"Acme/keyless-{major}",
        "POWERNODE_OCI_REGISTRY": registry.host,
        "NO_PROXY": "127.0.0.1",
        **services,
    }
    checkout.fake_build()
    with identities(sigstore.token()) as given:
        for script in ("check", "push", "sign"):
            done = checkout.run(f"scripts/{script}.sh", env=given)
            assert done.returncode == 0, done.stderr
    digest = (checkout.folder / "build" / "oci" / "digest").read_text().strip()
    repository = f"{registry.host}/acme/keyless-{major}/edge"
    registries = OciRegistries()
    world = CoreHarness(f"sqlite:///{tmp_path / 'catalog.db'}", registries=registries)
    with closing(registries), closing(world.catalog):
        world.platform("edge", oci_repository=repository, trust=sigstore.trust())
        delivery_id = world.announce(slug="edge", ref=f"{repository}@{digest}")
        assert world.process(delivery_id) == "published", world.errors
        signer = world.publication(world.delivery(delivery_id).publication_id).signer
    assert signer is not None
    assert signer["identity"] == f"{FORGE}/{MAIN}"
