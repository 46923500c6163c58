"""The port `Registry` over the wire."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote

from bootpress.adapters.oci import referrers
from bootpress.adapters.oci.blobs import BlobStream, MemorySink, NullSink, file_sink
from bootpress.adapters.oci.limits import MAX_MANIFEST
from bootpress.adapters.oci.manifests import ACCEPTED, digest_of, parse_manifest
from bootpress.adapters.oci.push import Pusher
from bootpress.adapters.oci.responses import RegistryResponse, TooLarge, missing_content_error
from bootpress.adapters.oci.transport import Transport
from bootpress.core.errors import ContentRejected, ReferenceRejected, RegistryDenied, RegistryUnavailable
from bootpress.core.ports import DeleteResult, Descriptor, Manifest, Progress
from bootpress.core.references import Repository

MAX_ANSWER = 1024 * 1024
_PASSING = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.LOCKED, HTTPStatus.TOO_EARLY}


class OciRegistry:
    """One registry host, spoken to with one credential; shared by threads."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def check(self) -> None:
        """Make sure that this is a registry and that it accepts our credential (distribution-spec, end-1)."""
        try:
            answer = self._transport.request("GET", "/v2/", limit=MAX_ANSWER)
        except TooLarge as error:
            raise RegistryUnavailable(f"{self._transport.origin} does not answer as a registry does") from error
        if answer.status != HTTPStatus.OK:
            raise RegistryUnavailable(
                f"{self._transport.origin} answers {answer} to /v2/, so it is no registry",
                hint="check host and port, and plain_http where it speaks no HTTPS",
            )

    def resolve_tag(self, repository: Repository, tag: str) -> str:
        """Return the digest of the bytes that a tag serves now; ReferenceRejected if there is no such tag."""
        digest = self.find_tag(repository, tag)
        if digest is None:
            raise ReferenceRejected(f"{repository} has no tag {tag}", hint="push it, or announce what was pushed")
        return digest

    def find_tag(self, repository: Repository, tag: str) -> str | None:
        """Like resolve_tag, but None when the registry says that the tag does not exist."""
        answer = self._get_manifest(repository, tag)
        return None if answer is None else self._digest_of(answer, f"{repository}:{tag}")

    def fetch_manifest(self, repository: Repository, digest: str) -> Manifest:
        """Fetch by digest and check the raw bytes against it; at most 4 MiB."""
        name = repository.at(digest)
        answer = self._get_manifest(repository, digest)
        if answer is None:
            raise missing_content_error(name)
        if digest_of(answer.body) != digest:
            raise ContentRejected(f"{name} is served with other bytes: their digest is {digest_of(answer.body)}")
        return parse_manifest(answer.body, content_type=answer.content_type)

    def read_blob(self, repository: Repository, descriptor: Descriptor, *, limit: int) -> bytes:
        """Fetch a small blob whole, checked by digest and size; ContentRejected if it declares over `limit` bytes."""
        if descriptor.size > limit:
            raise ContentRejected(f"blob {descriptor.digest} has {descriptor.size} bytes; at most {limit} are read")
        memory = MemorySink()
        BlobStream(self._transport, repository, descriptor, memory).run()
        return bytes(memory.content)

    def verify_blob(self, repository: Repository, descriptor: Descriptor, progress: Progress | None = None) -> None:
        """Stream a blob, hashing as it goes, and keep nothing; ContentRejected when a byte or the size differs."""
        with self._transport.streams:
            BlobStream(self._transport, repository, descriptor, NullSink(), progress).run()

    def download_blob(
        self, repository: Repository, descriptor: Descriptor, path: Path, progress: Progress | None = None
    ) -> None:
        """Stream a blob into a file, which appears under its name only when every byte of it is right and on disk."""
        with self._transport.streams, file_sink(path) as sink:
            BlobStream(self._transport, repository, descriptor, sink, progress).run()
            sink.keep()

    def list_referrers(self, repository: Repository, digest: str) -> Sequence[Descriptor]:
        """List what refers to a digest, from the referrers API and the fallback tag; at most 1,000, unfiltered."""
        return referrers.list_referrers(self._transport, repository, digest)

    def has_manifest(self, repository: Repository, digest: str) -> bool:
        """Tell whether anything is served under this digest, whatever it is."""
        try:
            return self._get_manifest(repository, digest) is not None
        except ContentRejected:  # too large to be read, so something is there
            return True

    def has_blob(self, repository: Repository, blob: Descriptor) -> bool:
        """Tell whether a small blob is served (distribution-spec, end-2)."""
        path = f"/v2/{repository.path}/blobs/{blob.digest}"
        try:
            answer = self._transport.request("GET", path, scope=f"repository:{repository.path}:pull", limit=blob.size)
        except TooLarge as error:
            raise RegistryUnavailable(f"{self._transport.origin} answers {path} at length") from error
        if answer.status == HTTPStatus.NOT_FOUND:
            return False
        if answer.status != HTTPStatus.OK or digest_of(answer.body) != blob.digest:
            raise RegistryUnavailable(f"{self._transport.origin} answers {path} with {answer}, and with other bytes")
        return True

    def put_blob(self, repository: Repository, content: bytes) -> Descriptor | None:
        """Store a small blob (distribution-spec, end-4 and end-6); None where the registry does not let us."""
        try:
            return Pusher(self._transport).push_blob(repository, content)
        except RegistryDenied:
            return None

    def delete_blob(self, repository: Repository, digest: str) -> DeleteResult:
        """Delete by digest (distribution-spec, end-10)."""
        return self._delete(repository, f"blobs/{digest}")

    def delete_manifest(self, repository: Repository, digest: str) -> DeleteResult:
        """Delete by digest (distribution-spec, end-9); an absent one and a refusal on principle are answers."""
        return self._delete(repository, f"manifests/{digest}")

    def _delete(self, repository: Repository, what: str) -> DeleteResult:
        path = f"/v2/{repository.path}/{what}"
        scope = f"repository:{repository.path}:delete"
        try:
            answer = self._transport.request("DELETE", path, scope=scope, limit=MAX_ANSWER)
        except TooLarge:  # it says at length that it has done it
            return DeleteResult.DELETED
        except RegistryDenied:
            return DeleteResult.DENIED
        if answer.status in {200, 202, 204}:
            return DeleteResult.DELETED
        if answer.status == HTTPStatus.NOT_FOUND:
            return DeleteResult.ABSENT
        if answer.status in {405, 501} or (
            answer.status == HTTPStatus.BAD_REQUEST and answer.error_code == "UNSUPPORTED"
        ):
            return DeleteResult.UNSUPPORTED
        if 400 <= answer.status < 500 and answer.status not in _PASSING:  # noqa: PLR2004 - an immutable tag, a policy
            return DeleteResult.REFUSED
        raise RegistryUnavailable(f"{self._transport.origin} answers {answer} to deleting {what} of {repository}")

    def _get_manifest(self, repository: Repository, name: str) -> RegistryResponse | None:
        """Get by tag or digest (distribution-spec, end-3); None for 404."""
        try:
            answer = self._transport.request(
                "GET",
                f"/v2/{repository.path}/manifests/{quote(name, safe=':')}",
                scope=f"repository:{repository.path}:pull",
                headers={"accept": ", ".join(ACCEPTED)},
                limit=MAX_MANIFEST,
                is_json=True,
            )
        except TooLarge as error:
            raise ContentRejected(f"the manifest {name} of {repository} has more than {MAX_MANIFEST} bytes") from error
        if answer.status == HTTPStatus.NOT_FOUND:
            return None
        if answer.status != HTTPStatus.OK:
            raise RegistryUnavailable(f"{self._transport.origin} answers {answer} for {name} of {repository}")
        return answer

    @staticmethod
    def _digest_of(answer: RegistryResponse, name: str) -> str:
        digest = digest_of(answer.body)
        stated = answer.headers.get("docker-content-digest")
        if stated is not None and stated.startswith("sha256:") and stated != digest:
            raise ContentRejected(f"{name} is served with other bytes than the registry says: {digest} for {stated}")
        return digest
