"""What the real oras, which reads JSON as Go does, pulls from a real registry is what was verified, or was refused."""

from __future__ import annotations

import hashlib
import itertools
import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from bootpress.adapters.oci import OciRegistries, Pusher
from bootpress.adapters.oci.manifests import DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, digest_of
from bootpress.adapters.oci.push import to_json
from bootpress.core.ports import Descriptor
from bootpress.core.publications.models import Artifact
from bootpress.core.references import Repository
from tests.support import services
from tests.support.core_harness import CoreHarness

pytestmark = [pytest.mark.part("docker-registry"), pytest.mark.part("oras")]
TITLE = "org.opencontainers.image.title"
CONFIG = b'{"architecture": "amd64"}'
CONFIG_TYPE = "application/vnd.bootpress.image.config.v1+json"
_slugs = (f"edge-{number}" for number in itertools.count(1))


class Bench:
    """A real registry, an installation that publishes from it, and oras beside it."""

    def __init__(self, repository: Repository, pusher: Pusher, world: CoreHarness, folder: Path) -> None:
        self.repository, self._pusher, self._world, self._folder = repository, pusher, world, folder

    def blob(self, content: bytes, media_type: str, title: str | None = None) -> dict[str, Any]:
        """Push a blob; return its descriptor."""
        blob = self._pusher.push_blob(self.repository, content, media_type=media_type)
        return to_json(blob) | ({"annotations": {TITLE: title}} if title else {})

    def push(self, raw: bytes, media_type: str = OCI_MANIFEST) -> bool:
        """Push the text of a manifest as it is, and a good signature on it; False where the registry refuses it."""
        digest = digest_of(raw)
        url = f"http://{self.repository.host}/v2/{self.repository.path}/manifests/{digest}"
        answer = httpx.put(url, content=raw, headers={"content-type": media_type})
        if answer.status_code != 201:
            return False
        subject = Descriptor(media_type, digest, len(raw))
        referrer = self._world.images.key.sign(subject, created=datetime(2025, 6, 1, tzinfo=UTC))
        for blob in referrer.blobs:
            self._pusher.push_blob(self.repository, blob)
        self._pusher.push_manifest(self.repository, referrer.manifest, media_type=referrer.media_type)
        return True

    def publish(self, digest: str) -> list[Artifact]:
        """Announce a digest; return what was verified of it, or nothing if it was refused."""
        slug = next(_slugs)
        self._world.platform(slug=slug, oci_repository=str(self.repository))
        delivery_id = self._world.announce(slug=slug, ref=f"{self.repository}@{digest}")
        outcome = self._world.process(delivery_id)
        assert outcome in {"published", "failed"}, self._world.errors
        if outcome == "failed":
            return []
        publication_id = self._world.delivery(delivery_id).publication_id
        with self._world.catalog.read_session() as session:
            found = select(Artifact).where(Artifact.publication_id == publication_id).order_by(Artifact.digest)
            return list(session.scalars(found))

    def pull(self, digest: str) -> dict[str, bytes]:
        """Pull an image as oras does; return its files by their names."""
        target = self._folder / digest[-12:]
        target.mkdir()
        self.oras("pull", "--output", str(target), f"{self.repository}@{digest}")
        return {path.name: path.read_bytes() for path in target.iterdir()}

    def fetch(self, kind: str, digest: str) -> bytes:
        """Fetch the bytes of a manifest or a blob by digest."""
        return self.oras(kind, "fetch", "--output", "-", f"{self.repository}@{digest}")

    def oras(self, *words: str) -> bytes:
        """Run oras with no configuration of the developer's; return what it prints."""
        command = [str(services.require("oras")), *words, "--plain-http"]
        environment = {"HOME": str(self._folder)}
        ended = subprocess.run(command, check=True, capture_output=True, env=environment, timeout=60)
        return ended.stdout


@pytest.fixture
def bench(repository: Repository, registries: OciRegistries, pusher: Pusher, folder: Path) -> Iterator[Bench]:
    world = CoreHarness(f"sqlite:///{folder.parent / 'catalog.db'}", registries=registries)
    yield Bench(repository, pusher, world, folder)
    world.catalog.close()


def image(bench: Bench, *layers: dict[str, Any], **members: Any) -> dict[str, Any]:
    """Return an image manifest of these layers."""
    document = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": bench.blob(CONFIG, CONFIG_TYPE)}
    return document | {"layers": list(layers)} | members


def test_every_byte_that_oras_pulls_was_verified(bench: Bench) -> None:
    files = {"vmlinuz": b"kernel" * 300_000, "initrd": b"\x00\xff" * 70_000, "base.erofs": b"base"}
    layers = [bench.blob(content, "application/vnd.test", title) for title, content in files.items()]
    raw = json.dumps(image(bench, *layers, annotations={"a": "1", "A": "2"})).encode()
    assert bench.push(raw)
    verified = bench.publish(digest_of(raw))

    assert bench.pull(digest_of(raw)) == files
    assert {row.title for row in verified if row.role == "layer"} == files.keys()
    assert {row.title: row.digest for row in verified if row.title} == {
        title: digest_of(content) for title, content in files.items()
    }
    assert bench.fetch("manifest", digest_of(raw)) == raw
    for row in verified:
        content = bench.fetch("manifest" if row.role == "manifest" else "blob", row.digest)
        assert (f"sha256:{hashlib.sha256(content).hexdigest()}", len(content)) == (row.digest, row.size_bytes)


def test_every_byte_of_an_index_that_oras_pulls_was_verified(bench: Bench) -> None:
    children, files = [], {}
    for arch in ("amd64", "arm64"):
        files[arch] = {f"vmlinuz-{arch}": arch.encode() * 1000}
        [(title, content)] = files[arch].items()
        config = bench.blob(json.dumps({"architecture": arch}).encode(), CONFIG_TYPE)
        document = image(bench, bench.blob(content, "application/vnd.test", title), config=config)
        raw = json.dumps(document).encode()
        assert bench.push(raw)
        platform = {"architecture": arch, "os": "linux"}
        children.append(to_json(Descriptor(OCI_MANIFEST, digest_of(raw), len(raw))) | {"platform": platform})
    raw = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": children}).encode()
    assert bench.push(raw, OCI_INDEX)
    verified = {row.digest: row for row in bench.publish(digest_of(raw))}
    assert verified[digest_of(raw)].role == "manifest"

    for child, arch in zip(children, files, strict=True):
        bench.oras("resolve", "--platform", f"linux/{arch}", f"{bench.repository}@{digest_of(raw)}")
        pulled = bench.pull(child["digest"])
        assert pulled == files[arch]
        [content] = pulled.values()
        assert verified[digest_of(content)].manifest_digest == child["digest"]
    for row in verified.values():
        assert digest_of(bench.fetch("manifest" if row.role == "manifest" else "blob", row.digest)) == row.digest


@dataclass(frozen=True, slots=True)
class Ambiguous:
    """A manifest's text in which `SHOWN` and `HIDDEN` are the descriptors of two layers."""

    text: str
    pulled: str | None
    """The file that oras pulls; None where registry or oras refuse it."""


HEAD = '"schemaVersion": 2, "mediaType": "' + OCI_MANIFEST + '", "config": CONFIG'
DOCUMENTS = {
    "nothing twice": Ambiguous('{HEAD, "layers": [SHOWN]}', "shown"),
    "an unknown member": Ambiguous('{HEAD, "layers": [SHOWN], "x-layers": [HIDDEN]}', "shown"),
    "annotations that differ in case": Ambiguous(
        '{HEAD, "layers": [SHOWN], "annotations": {"a": "1", "A": "2"}}', "shown"
    ),
    "a name twice": Ambiguous('{HEAD, "layers": [SHOWN], "layers": [HIDDEN]}', "hidden"),
    "in capitals, last": Ambiguous('{HEAD, "layers": [SHOWN], "LAYERS": [HIDDEN]}', "hidden"),
    "in capitals, first": Ambiguous('{HEAD, "LAYERS": [HIDDEN], "layers": [SHOWN]}', "shown"),
    "in capitals, alone": Ambiguous('{HEAD, "Layers": [HIDDEN]}', "hidden"),
    "with U+017F": Ambiguous('{HEAD, "layers": [SHOWN], "layer\N{LATIN SMALL LETTER LONG S}": [HIDDEN]}', "hidden"),
    "with U+017F, escaped": Ambiguous('{HEAD, "layers": [SHOWN], "layer\\u017f": [HIDDEN]}', "hidden"),
    "within a descriptor": Ambiguous(
        '{HEAD, "layers": [{"mediaType": "a/b", "digest": "SHOWN_DIGEST", "size": SIZE, "DIGEST": "HIDDEN_DIGEST",'
        ' "annotations": {"org.opencontainers.image.title": "hidden"}}]}',
        "hidden",
    ),
    "annotations of a descriptor": Ambiguous(
        '{HEAD, "layers": [{"mediaType": "a/b", "digest": "HIDDEN_DIGEST", "size": SIZE,'
        ' "Annotations": {"org.opencontainers.image.title": "hidden"}}]}',
        "hidden",
    ),
    "null behind": Ambiguous('{HEAD, "layers": [SHOWN], "LAYERS": null}', "nothing"),
    "a byte order mark": Ambiguous('\N{ZERO WIDTH NO-BREAK SPACE}{HEAD, "layers": [SHOWN]}', None),
    "text behind": Ambiguous('{HEAD, "layers": [SHOWN]} {HEAD, "layers": [HIDDEN]}', None),
    "a size with a fraction": Ambiguous(
        '{HEAD, "layers": [{"mediaType": "a/b", "digest": "SHOWN_DIGEST", "size": SIZE.0}]}', None
    ),
    "an index too": Ambiguous('{HEAD, "layers": [SHOWN], "manifests": []}', None),
    "schema 1 too": Ambiguous('{HEAD, "layers": [SHOWN], "fsLayers": [], "history": []}', "shown"),
}
READ_ALIKE = ("nothing twice", "an unknown member", "annotations that differ in case")
"""What we publish; the others are refused, also where oras happens to read what we would."""


@pytest.mark.parametrize("name", DOCUMENTS)
def test_what_go_reads_is_what_we_read_or_is_refused(bench: Bench, name: str) -> None:
    document = DOCUMENTS[name]
    files = {"shown": b"the kernel that is shown", "hidden": b"a kernel that is hidden."}
    blobs = {title: bench.blob(content, "a/b", title) for title, content in files.items()}
    text = document.text.replace("HEAD", HEAD).replace("CONFIG", json.dumps(bench.blob(CONFIG, CONFIG_TYPE)))
    for title, blob in blobs.items():
        text = text.replace(f"{title.upper()}_DIGEST", blob["digest"]).replace(title.upper(), json.dumps(blob))
    raw = text.replace("SIZE", str(len(files["shown"]))).encode()

    if not bench.push(raw):
        assert document.pulled is None
        return
    pulled = bench.pull(digest_of(raw))
    assert pulled == ({} if document.pulled == "nothing" else {str(document.pulled): files[str(document.pulled)]})
    verified = bench.publish(digest_of(raw))
    assert bool(verified) == (name in READ_ALIKE)
    if verified:
        assert {row.title: row.digest for row in verified if row.role == "layer"} == {
            title: digest_of(content) for title, content in pulled.items()
        }


def test_a_layer_that_is_a_manifest_is_refused_as_oras_pulls_what_that_names(bench: Bench) -> None:
    hidden = bench.blob(b"a kernel that nobody verified", "a/b", "hidden")
    inner = json.dumps(image(bench, hidden)).encode()
    assert bench.push(inner)
    raw = json.dumps(image(bench, bench.blob(inner, OCI_MANIFEST, "shown"))).encode()
    assert bench.push(raw)
    assert "hidden" in bench.pull(digest_of(raw))
    assert bench.publish(digest_of(raw)) == []


@pytest.mark.parametrize("stated", [OCI_INDEX, DOCKER_MANIFEST, "application/octet-stream"])
def test_an_index_that_calls_an_image_something_else_is_refused(bench: Bench, stated: str) -> None:
    inner = json.dumps(image(bench, bench.blob(b"kernel", "a/b", "shown"))).encode()
    assert bench.push(inner)
    child = to_json(Descriptor(OCI_MANIFEST, digest_of(inner), len(inner)))
    platform = {"platform": {"architecture": "amd64", "os": "linux"}}
    for media_type, is_published in ((OCI_MANIFEST, True), (stated, False)):
        manifests = [child | platform, child | {"mediaType": media_type}]
        raw = json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": manifests}).encode()
        assert bench.push(raw, OCI_INDEX)
        assert bool(bench.publish(digest_of(raw))) == is_published
