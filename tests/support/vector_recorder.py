"""Record the vectors of tests/assets anew: real cosign signs through the live services, a real registry keeps it.

    with running_sigstore(database) as services, running_registry(folder) as host:
        record(target, Studio(services, host, scratch))

What is recorded is byte for byte what cosign pushed. The cases and what is expected of each are the table below.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from bootpress.adapters.oci import Layer, OciRegistries
from bootpress.core.ports import RegistryConnection
from bootpress.core.references import Repository
from tests.support.cosign import Cosign
from tests.support.layouts import INDEX, MANIFEST, LayoutRegistry
from tests.support.sigstore_live import MAIN, WORKFLOW, Sigstore

TYPE = "application/vnd.bootpress.image.v1"
LAYERS = {
    "vmlinuz": ("application/vnd.bootpress.kernel.v1", 3000),
    "initramfs.cpio.zst": ("application/vnd.bootpress.initramfs.v1.cpio+zstd", 5000),
    "base.erofs": ("application/vnd.bootpress.base.v1.composefs.erofs", 9000),
}
"""By title: media type and size."""
FOREIGN = MAIN.replace("os/", "mallory/")
SBOM = {"SPDXID": "SPDXRef-DOCUMENT", "spdxVersion": "SPDX-2.3", "name": "x", "packages": []}


class VectorRecorder:
    """Signs images in a registry: keys `a` and `b`, both versions of cosign, the live services."""

    def __init__(self, services: Sigstore, host: str, folder: Path) -> None:
        self.services = services
        self.host = host
        self.folder = folder
        self.cosign = {major: Cosign(major, folder / f"cosign{major}") for major in (2, 3)}
        self.keys = {name: self.cosign[3].make_key(name) for name in ("key-a", "key-b")}

    def push(self, repository: Repository, seed: str, *, tag: str = "v1") -> str:
        """Push an image whose bytes follow from a seed; return its digest."""
        layers = []
        for title, (media_type, size) in LAYERS.items():
            file = self.folder / title
            block = hashlib.sha256(f"{seed} {title}".encode()).digest()
            file.write_bytes((block * (size // len(block) + 1))[:size])
            layers.append(Layer(file, media_type, title))
        with closing(OciRegistries()) as registries:
            pusher = registries.open_pusher(RegistryConnection("studio", self.host))
            return pusher.push_image(repository, layers, tag=tag, artifact_type=TYPE)


@dataclass(frozen=True, slots=True)
class RecordedImage:
    """One image of a case, about to be signed."""

    studio: VectorRecorder
    repository: Repository
    digest: str

    @property
    def image(self) -> str:
        return self.repository.at(self.digest)

    def key(self, name: str = "key-a", *, cosign: int = 3) -> None:
        """Sign with a key, without a log."""
        self.studio.cosign[cosign].sign(self.image, self.studio.keys[name])

    def logged(self, *, cosign: int = 3) -> None:
        """Sign with key a, and have it logged."""
        self.studio.cosign[cosign].sign_logged(self.image, self.studio.keys["key-a"], self.studio.services)

    def keyless(self, workflow: str = MAIN, *, rekor: int = 2, cosign: int = 3) -> None:
        """Sign as a workflow."""
        services = self.studio.services
        self.studio.cosign[cosign].sign_keyless(self.image, services, services.token(workflow), rekor=rekor)

    def attest(self) -> None:
        """Attach an SPDX attestation, signed as the workflow that the policy wants."""
        predicate = self.studio.folder / "sbom.json"
        predicate.write_text(json.dumps(SBOM))
        services = self.studio.services
        self.studio.cosign[3].attest_keyless(self.image, services, services.token(), predicate, "spdxjson")

    def replay(self) -> None:
        """Hang the signatures of another image of the same repository on this one, in both formats."""
        other = RecordedImage(
            self.studio, self.repository, self.studio.push(self.repository, f"{self.digest} v0", tag="v0")
        )
        other.key()
        other.key(cosign=2)
        source, target = other.digest.replace(":", "-"), self.digest.replace(":", "-")
        for suffix in ("", ".sig"):
            _copy_tag(self.studio.host, self.repository, source + suffix, target + suffix)


@dataclass(frozen=True, slots=True)
class Case:
    """How an image is signed, under which policy it is looked at, and what must come of it."""

    expect: str
    why: str
    sign: Sequence[Callable[[RecordedImage], None]]
    keys: tuple[str, ...] = ()
    """The trusted keys; without any the policy is keyless."""


A, BOTH = ("key-a",), ("key-a", "key-b")


def _as(workflow: str, *, rekor: int = 2, cosign: int = 3) -> Callable[[RecordedImage], None]:
    return lambda shot: shot.keyless(workflow, rekor=rekor, cosign=cosign)


def _with(name: str, *, cosign: int = 3) -> Callable[[RecordedImage], None]:
    return lambda shot: shot.key(name, cosign=cosign)


_TAGGED = f"{WORKFLOW}@refs/tags/v1.2"
_PULL = f"{WORKFLOW}@refs/pull/9/merge"
_OTHER = MAIN.replace("build-disk-image", "other")
_NO_DOT = MAIN.replace("/.gitea", "/Xgitea")
_SUFFIX = f"mallory/x@https://gitea.example/{MAIN}"
_V2_LOGGED: Callable[[RecordedImage], None] = lambda shot: shot.logged(cosign=2)  # noqa: E731 - a row of the table

CASES: Mapping[str, Case] = {
    "keyless-v3-rekor1": Case("ok", "bundle, Rekor v1", [_as(MAIN, rekor=1)]),
    "keyless-v3-rekor2": Case("ok", "bundle, Rekor v2 + TSA", [_as(MAIN)]),
    "keyless-v2": Case("ok", "cosign 2 signature tag, SET only", [_as(MAIN, cosign=2)]),
    "keyless-tag-ref": Case("ok", "identity of a tag build", [_as(_TAGGED)]),
    "keys-v3": Case("ok", "bundle by key, no log", [_with("key-a")], A),
    "keys-v3-logged": Case("ok", "bundle by key, logged", [RecordedImage.logged], A),
    "keys-v2": Case("ok", "cosign 2 by key, no log", [_with("key-a", cosign=2)], A),
    "keys-v2-logged": Case("ok", "cosign 2 by key, logged", [_V2_LOGGED], BOTH),
    "keys-rotation": Case("ok", "second of two trusted keys", [_with("key-b")], BOTH),
    "both-formats": Case(
        "ok", "a good bundle beside a foreign cosign 2 signature", [_with("key-a"), _with("key-b", cosign=2)], A
    ),
    "bad-then-good": Case("ok", "foreign signature first, good one second", [_as(FOREIGN), _as(MAIN, rekor=1)]),
    "unsigned": Case("rejected", "no signature", []),
    "foreign-repository": Case("rejected", "identity of another repository", [_as(FOREIGN)]),
    "foreign-workflow": Case("rejected", "identity of another workflow", [_as(_OTHER, rekor=1)]),
    "pull-request-ref": Case("rejected", "identity of a pull request build", [_as(_PULL, rekor=1)]),
    "dot-is-not-any": Case("rejected", "an escaped dot matches only a dot", [_as(_NO_DOT)]),
    "suffix-attack": Case("rejected", "the policy must match the whole identity", [_as(_SUFFIX)]),
    "wrong-key": Case("rejected", "signed by an untrusted key", [_with("key-b")], A),
    "wrong-key-v2": Case("rejected", "signed by an untrusted key", [_with("key-b", cosign=2)], A),
    "keyless-under-keys-policy": Case("rejected", "mode keys never accepts a certificate", [_as(MAIN)], A),
    "key-under-keyless-policy": Case("rejected", "mode keyless never accepts a bare key", [RecordedImage.logged]),
    "attestation-only": Case("rejected", "an attestation is not an image signature", [RecordedImage.attest]),
    "signature-and-sbom-attestation": Case(
        "ok", "signature with an SPDX attestation beside it", [_as(MAIN), RecordedImage.attest]
    ),
    "keyless-v2-foreign": Case("rejected", "cosign 2, identity of another repository", [_as(FOREIGN, cosign=2)]),
    "replayed": Case("rejected", "the signatures of another image of the same repository", [RecordedImage.replay], A),
}


def record(target: Path, studio: VectorRecorder) -> None:
    """Record every case into a folder that is empty or holds vectors already; those are replaced."""
    target.mkdir(parents=True, exist_ok=True)
    cases = {}
    for name, case in CASES.items():
        repository = Repository(studio.host, f"public/{name}")
        shot = RecordedImage(studio, repository, studio.push(repository, name))
        for sign in case.sign:
            sign(shot)
        tags = _save(target / name, studio.host, repository)
        cases[name] = {
            "repository": repository.path,
            "digest": shot.digest,
            "expect": case.expect,
            "why": case.why,
            "tags": tags,
            "trust": _trust(studio.services, case),
        }
    for name, key in studio.keys.items():
        shutil.copyfile(key.public, target / f"{name}.pub")
    (target / "trusted_root.json").write_text(json.dumps(studio.services.trusted_root, indent=1) + "\n")
    (target / "cases.json").write_text(json.dumps(cases, indent=1) + "\n")


def _trust(services: Sigstore, case: Case) -> dict[str, Any]:
    """Write a policy as cases.json does: files are named, the root lies beside it."""
    if case.keys:
        return {"mode": "keys", "public_keys": [f"{name}.pub" for name in case.keys]}
    return {name: value for name, value in services.trust().items() if name != "trusted_root"}


def _save(folder: Path, host: str, repository: Repository) -> list[str]:
    """Write everything that a repository's tags lead to as an OCI layout; return the tags."""
    layout = LayoutRegistry()
    tags: list[str] = sorted(_get(host, repository, "tags/list").json()["tags"])
    pending = list(tags)
    while pending:
        name = pending.pop()
        if name in layout.blobs:
            continue
        raw = _get(host, repository, f"manifests/{name}").content
        layout.add(raw, tag=name if name in tags else None)
        document = json.loads(raw)
        pending += [child["digest"] for child in document.get("manifests", [])]
        for blob in [*([document["config"]] if "config" in document else []), *document.get("layers", [])]:
            layout.add(_get(host, repository, f"blobs/{blob['digest']}").content)
    shutil.rmtree(folder, ignore_errors=True)
    layout.write(folder)
    return tags


def _copy_tag(host: str, repository: Repository, source: str, target: str) -> None:
    answer = _get(host, repository, f"manifests/{source}")
    headers = {"content-type": answer.headers["content-type"]}
    url = f"http://{host}/v2/{repository.path}/manifests/{target}"
    httpx.put(url, content=answer.content, headers=headers, trust_env=False).raise_for_status()


def _get(host: str, repository: Repository, path: str) -> httpx.Response:
    headers = {"accept": f"{MANIFEST}, {INDEX}"}
    url = f"http://{host}/v2/{repository.path}/{path}"
    return httpx.get(url, headers=headers, trust_env=False).raise_for_status()
