"""Pushing, for the demo and for tests: blobs streamed with progress, manifests as the very bytes that were hashed.

Not through oras-py: it reads a layer whole into memory, tells of no progress, has no timeouts, and writes the
manifest's JSON itself, so that nobody knows its digest before the registry says it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from bootpress.adapters.oci.manifests import INDEXES, OCI_INDEX, OCI_MANIFEST, digest_of, read_object
from bootpress.adapters.oci.network import TransferDeadline
from bootpress.adapters.oci.origins import origin_of
from bootpress.adapters.oci.referrers import fallback_tag
from bootpress.adapters.oci.responses import (
    RegistryResponse,
    RegistryRetryPolicy,
    RetryableFailure,
    TooLarge,
    read_answer,
)
from bootpress.adapters.oci.transport import Transport
from bootpress.core.errors import ContentRejected, RegistryDenied, RegistryUnavailable
from bootpress.core.ports import Descriptor, Progress
from bootpress.core.references import Repository

CHUNK = 1024 * 1024
MAX_ANSWER = 1024 * 1024
MAX_INDEX = 4 * 1024 * 1024
TITLE = "org.opencontainers.image.title"


@dataclass(frozen=True, slots=True)
class Layer:
    """A file to push as a layer; its title is the name it gets when it is pulled."""

    path: Path
    media_type: str
    title: str


@dataclass(frozen=True, slots=True)
class Config:
    """The config of an image manifest; by default the empty one (image-spec 1.1, manifest.md)."""

    content: bytes = b"{}"
    media_type: str = "application/vnd.oci.empty.v1+json"


EMPTY = Config()


class Pusher:
    """Pushes to one registry."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def push_image(
        self,
        repository: Repository,
        layers: Sequence[Layer],
        *,
        tag: str | None = None,
        config: Config = EMPTY,
        artifact_type: str | None = None,
        annotations: Mapping[str, str] | None = None,
        subject: Descriptor | None = None,
        progress: Progress | None = None,
    ) -> str:
        """Push layers, config and an image manifest that names them; return the manifest's digest."""
        pushed = []
        for layer in layers:
            blob = self.push_blob(repository, layer.path, media_type=layer.media_type, progress=progress)
            pushed.append({**to_json(blob), "annotations": {TITLE: layer.title}})
        manifest: dict[str, Any] = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            **({"artifactType": artifact_type} if artifact_type else {}),
            "config": to_json(self.push_blob(repository, config.content, media_type=config.media_type)),
            "layers": pushed,
            **({"subject": to_json(subject)} if subject else {}),
            **({"annotations": dict(annotations)} if annotations else {}),
        }
        return self.push_manifest(repository, json.dumps(manifest).encode(), media_type=OCI_MANIFEST, tag=tag)

    def push_manifest(self, repository: Repository, raw: bytes, *, media_type: str, tag: str | None = None) -> str:
        """Put a manifest, as it is, under a tag or under its digest alone; return its digest.

        Where it has a subject and the registry has no referrers API, it is added to the subject's fallback tag
        (distribution-spec 1.1, "Pushing Manifests with Subject"); two pushes at once may lose one entry there.
        """
        digest = digest_of(raw)
        path = f"/v2/{repository.path}/manifests/{tag or digest}"
        headers = {"content-type": media_type, "content-length": str(len(raw))}
        answer = self._request("PUT", path, repository, headers=headers, body=raw)
        if answer.status != HTTPStatus.CREATED:
            raise RegistryUnavailable(f"{self._transport.origin} answers {answer} to pushing {repository.at(digest)}")
        stated = answer.headers.get("docker-content-digest", digest)
        if stated != digest:
            raise ContentRejected(f"{self._transport.origin} stored {stated} where {digest} was pushed")
        manifest = json.loads(raw)
        if manifest.get("subject") and not self._is_listed(repository, manifest["subject"]["digest"], answer):
            self._index_referrer(repository, manifest, media_type, raw)
        return digest

    def push_blob(
        self,
        repository: Repository,
        content: bytes | Path,
        *,
        media_type: str = "application/octet-stream",
        progress: Progress | None = None,
    ) -> Descriptor:
        """Push bytes or a file, unless the registry has them; return their descriptor."""
        digest, size = _measure(content)
        head = self._request("HEAD", f"/v2/{repository.path}/blobs/{digest}", repository)
        if head.status == HTTPStatus.OK:
            if progress:
                progress(size)
        else:
            self._upload(repository, content, digest, size, progress)
        return Descriptor(media_type, digest, size)

    def _upload(
        self, repository: Repository, content: bytes | Path, digest: str, size: int, progress: Progress | None
    ) -> None:
        """Upload in one piece: POST, then PUT (distribution-spec, "POST then PUT")."""
        limits, timing = self._transport.limits, self._transport.timing
        deadline = timing.monotonic() + limits.blob_seconds + size / limits.blob_rate
        retry = RegistryRetryPolicy(limits, timing, deadline=deadline)
        while True:
            try:
                self._put(repository, _Reader(content, progress), digest, size, TransferDeadline(timing, deadline))
            except RetryableFailure as failure:
                retry.wait(failure, what=f"pushing blob {digest} to {repository}")
            else:
                return

    def _put(self, repository: Repository, reader: _Reader, digest: str, size: int, watch: TransferDeadline) -> None:
        started = self._request("POST", f"/v2/{repository.path}/blobs/uploads/", repository)
        if started.status != HTTPStatus.ACCEPTED:
            kind = RegistryDenied if 400 <= started.status < 500 else RegistryUnavailable  # noqa: PLR2004 - a quota, a policy
            raise kind(f"{self._transport.origin} answers {started} to an upload to {repository}")
        target = self._transport.location(started.url, started.headers.get("location"))
        url = target.copy_merge_params({"digest": digest})
        headers = {"content-type": "application/octet-stream", "content-length": str(size)}
        scope = _scope(repository)
        with self._transport.open("PUT", url, watch=watch, scope=scope, headers=headers, body=reader.read) as response:
            answer = read_answer(response, MAX_ANSWER)
        if answer.status != HTTPStatus.CREATED:
            raise RegistryUnavailable(f"{origin_of(url)} answers {answer} to the upload of {digest} to {repository}")

    def _is_listed(self, repository: Repository, subject: str, answer: RegistryResponse) -> bool:
        """Tell whether the registry lists referrers itself: some that do forget the header that says so."""
        if "oci-subject" in answer.headers:
            return True
        listed = self._request("GET", f"/v2/{repository.path}/referrers/{subject}", repository)
        return listed.status == HTTPStatus.OK and listed.content_type in INDEXES

    def _index_referrer(self, repository: Repository, manifest: dict[str, Any], media_type: str, raw: bytes) -> None:
        tag = fallback_tag(manifest["subject"]["digest"])
        listed = self._referrers(repository, tag)
        artifact_type = manifest.get("artifactType") or manifest.get("config", {}).get("mediaType")
        entry = {
            **to_json(Descriptor(media_type, digest_of(raw), len(raw))),
            **({"artifactType": artifact_type} if artifact_type else {}),
            **({"annotations": manifest["annotations"]} if manifest.get("annotations") else {}),
        }
        if entry["digest"] in [other.get("digest") for other in listed]:
            return
        index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [*listed, entry]}
        self.push_manifest(repository, json.dumps(index).encode(), media_type=OCI_INDEX, tag=tag)

    def _referrers(self, repository: Repository, tag: str) -> list[dict[str, Any]]:
        answer = self._request(
            "GET", f"/v2/{repository.path}/manifests/{tag}", repository, headers={"accept": OCI_INDEX}
        )
        if answer.status == HTTPStatus.NOT_FOUND:
            return []
        if answer.status != HTTPStatus.OK:
            raise RegistryUnavailable(f"{self._transport.origin} answers {answer} for {tag} of {repository}")
        listed = read_object(answer.body, what="the index of referrers").get("manifests")
        return [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []

    def _request(
        self,
        method: str,
        path: str,
        repository: Repository,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> RegistryResponse:
        try:
            return self._transport.request(
                method,
                path,
                scope=_scope(repository),
                headers=headers,
                body=(lambda: [body]) if body is not None else None,
                limit=MAX_INDEX,
            )
        except TooLarge as error:
            raise RegistryUnavailable(f"{self._transport.origin} answers {method} {path} at length") from error


class _Reader:
    """The body of an upload, and how much of it has been told of."""

    def __init__(self, content: bytes | Path, progress: Progress | None) -> None:
        self._content, self._progress = content, progress

    def read(self) -> Iterator[bytes]:
        for chunk in _chunks(self._content):
            yield chunk
            if self._progress:
                self._progress(len(chunk))


def to_json(descriptor: Descriptor) -> dict[str, Any]:
    """Write a descriptor as OCI does."""
    return {
        "mediaType": descriptor.media_type,
        "digest": descriptor.digest,
        "size": descriptor.size,
        **({"annotations": dict(descriptor.annotations)} if descriptor.annotations else {}),
    }


def _scope(repository: Repository) -> str:
    return f"repository:{repository.path}:pull,push"


def _measure(content: bytes | Path) -> tuple[str, int]:
    total, size = hashlib.sha256(), 0
    for chunk in _chunks(content):
        total.update(chunk)
        size += len(chunk)
    return f"sha256:{total.hexdigest()}", size


def _chunks(content: bytes | Path) -> Iterator[bytes]:
    if isinstance(content, bytes):
        yield from (content[start : start + CHUNK] for start in range(0, len(content), CHUNK))
        return
    with content.open("rb") as file:
        while chunk := file.read(CHUNK):
            yield chunk
