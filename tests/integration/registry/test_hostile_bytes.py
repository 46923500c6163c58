"""Any bytes for an answer: one of our errors, or an answer, and nothing else."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bootpress.adapters.oci import Limits, OciRegistries
from bootpress.core.errors import ContentRejected, RegistryUnavailable
from bootpress.core.ports import Descriptor, RegistryConnection
from bootpress.core.references import Repository
from tests.support.hostile_registry import Exchange, HostileRegistry

DIGEST = "sha256:" + "1" * 64
LINES = st.sampled_from(
    [
        b"Content-Length: 5",
        b"Content-Length: -1",
        b"Content-Length: 5, 6",
        b"Content-Length: 99999999999999999999",
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: gzip, chunked",
        b"Content-Encoding: br",
        b"Content-Range: bytes 0-0/1",
        b"Location: //[",
        b"Location: https://" + b"x" * 300 + b"/",
        b"WWW-Authenticate: Bearer realm=",
        b"Retry-After: 1e9",
        b"Docker-Content-Digest: sha256:00",
        b"Link: <>; rel=next",
        b"Content-Type: \xff/\x00",
        b"no colon",
        b": no name",
    ]
)
STATUS = st.sampled_from([200, 201, 206, 301, 307, 400, 401, 404, 416, 429, 503, 99, 1000, 101])


@st.composite
def raw_answers(draw: st.DrawFn) -> bytes:
    """Return bytes that are somewhat like an answer."""
    if draw(st.integers(0, 4)) == 0:
        return draw(st.binary(max_size=60))
    lines = [f"HTTP/1.1 {draw(STATUS)} Word".encode(), *draw(st.lists(LINES | st.binary(max_size=20), max_size=4))]
    return b"\r\n".join([*lines, b"", draw(st.sampled_from([b"", b"{}", b"5\r\nhello\r\n", b"x" * 30]))])


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(raw_answers())
def test_any_answer_is_read_or_is_one_of_our_errors(hostile: HostileRegistry, raw: bytes) -> None:
    def behave(exchange: Exchange) -> None:
        exchange.hang_up()
        exchange.write(raw)

    repository = Repository(hostile.host, "os/images")
    registries = OciRegistries(limits=Limits(tries=1, silence_seconds=0.5, request_seconds=1, blob_seconds=1))
    registry = registries.open(RegistryConnection("default", hostile.host, "robot", "secret"))
    for path in ("manifests/v1", f"manifests/{DIGEST}", f"blobs/{DIGEST}", f"referrers/{DIGEST}"):
        hostile.on(f"/v2/os/images/{path}", behave)
    for ask in (
        lambda: registry.find_tag(repository, "v1"),
        lambda: registry.fetch_manifest(repository, DIGEST),
        lambda: registry.verify_blob(repository, Descriptor("a/b", DIGEST, 5)),
        lambda: registry.list_referrers(repository, DIGEST),
        lambda: registry.delete_manifest(repository, DIGEST),
    ):
        try:
            ask()
        except (RegistryUnavailable, ContentRejected):
            continue
    registries.close()
