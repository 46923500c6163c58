"""Run runners as containers, through the Docker SDK.

The image is to behave as `gitea/act_runner` does: it registers with what `GITEA_INSTANCE_URL`, `GITEA_RUNNER_NAME`,
`GITEA_RUNNER_LABELS` and the file at `GITEA_RUNNER_REGISTRATION_TOKEN_FILE` say, once, and then takes jobs. The token
is a file that is put into the container before it starts: the environment and the command line of a container are
shown by `docker inspect`.

A container has the daemon's default network, except where the forge is on the loopback of the machine: nothing but
`--network host` leads there. Jobs then reach whatever listens on that loopback, so a forge on the network is better.
"""

from __future__ import annotations

import hashlib
import io
import json
import socket
import tarfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import UUID

from docker import APIClient
from docker.errors import APIError, DockerException, NotFound
from docker.types import LogConfig
from docker.utils import kwargs_from_env
from requests import PreparedRequest, Response, TooManyRedirects
from requests.exceptions import ContentDecodingError
from urllib3.exceptions import HTTPError as TransportError

from bootpress.adapters.runner_hosts.docker_errors import error_for, image_pull_error, transport_failure
from bootpress.core.errors import InvalidInput, RunnerHostRefused, RunnerHostUnavailable
from bootpress.core.ports import Container, HostInfo, RunnerHost, RunnerSpec
from bootpress.core.url_validation import is_loopback

DEFAULT_URL: Final = "unix:///var/run/docker.sock"
OWNER: Final = "io.bootpress.ci-worker"
"""The label that names a container's worker."""
MADE_FOR: Final = "io.bootpress.runner-spec"
TOKEN_FILE: Final = "/bootpress-registration-token"  # noqa: S105 - where it lies, not what it is
CALL_SECONDS: Final = 20
PULL_SECONDS: Final = 300.0
SILENCE_SECONDS: Final = 60.0
STOP_SECONDS: Final = 3
GONE_SECONDS: Final = 10.0
MAX_LOG: Final = 64 * 1024
MAX_ANSWER: Final = 16 * 1024 * 1024
MAX_LINES: Final = 500
CONFLICT: Final = 409


class DockerHosts:
    """The port `RunnerHosts`; `default_url` is the daemon of whoever names none.

    Docker's own DOCKER_TLS_VERIFY and DOCKER_CERT_PATH hold for all of them. Its config's logins for images to pull are
    sent to the default one alone: another one is whoever the caller says.
    """

    def __init__(self, default_url: str = DEFAULT_URL) -> None:
        self._default_url = default_url

    def open(self, url: str | None) -> RunnerHost:
        """Return a host by the URL of its Docker daemon; None is the default one."""
        if url is not None and not (url.startswith("unix:///") or _is_tcp(url)):
            raise InvalidInput(
                f"field runner_host: {url[:200]!r} is no Docker host",
                hint="write unix:///path/of/docker.sock or tcp://host:2376, or leave it away for this machine's",
                field="runner_host",
            )
        return DockerHost(url or self._default_url, has_logins=url in {None, self._default_url})


class DockerHost:
    """The port `RunnerHost`; a connection per call, so it holds nothing and is shared by threads."""

    def __init__(self, url: str, *, has_logins: bool) -> None:
        self._url = url
        self._has_logins = has_logins

    def check(self) -> HostInfo:
        """Make sure that the host answers us."""
        with self._asked("tell its version") as api:
            said = api.version()
            return HostInfo(version=str(said.get("Version")), arch=str(said.get("Arch")))

    def start(self, spec: RunnerSpec) -> Container:
        """Run a runner's container."""
        made_for = _fingerprint(spec)
        with self._asked(f"run {spec.image} as {_name(spec.worker_id)}") as api:
            there = _containers_of(api, spec.worker_id)
            kept = next((str(one["Id"]) for one in there if one["Labels"].get(MADE_FOR) == made_for), None)
            if kept is None and not api.images(name=spec.image):
                _pull(api, spec.image, has_logins=self._has_logins)
            for other in there:
                if other["Id"] != kept:
                    _remove(api, str(other["Id"]))
            container_id = kept or _create(api, spec, made_for)
            if api.inspect_container(container_id)["State"]["Status"] != "running":
                _write_token(api, container_id, spec.registration_token)
                api.start(container_id)
            return Container(container_id, is_new=kept is None)

    def clear_registration_token(self, container_id: str) -> None:
        """Empty the token's file: Gitea's tokens register any number of runners, and jobs could read it."""
        with self._asked("empty a file of a container") as api, suppress(NotFound):
            _write_token(api, container_id, "")

    def is_running(self, container_id: str) -> bool:
        """Tell whether a container runs."""
        with self._asked("tell whether a container runs") as api, suppress(NotFound):
            return bool(api.inspect_container(container_id)["State"]["Status"] == "running")
        return False

    def logs(self, container_id: str, *, lines: int) -> Sequence[str]:
        """Return the end of what a container said."""
        said = b""
        with self._asked("show a container's log") as api, suppress(NotFound):
            for piece in api.logs(container_id, tail=min(lines, MAX_LINES), stream=True, follow=False):
                said = (said + piece)[-MAX_LOG:]
        return said.decode(errors="replace").splitlines()[-lines:]

    def remove(self, worker_id: UUID) -> None:
        """Stop and remove a worker's containers with the volumes that are theirs alone, and see that they are gone."""
        with self._asked(f"remove {_name(worker_id)}") as api:
            for one in _containers_of(api, worker_id):
                _remove(api, str(one["Id"]))
            deadline = time.monotonic() + GONE_SECONDS
            while _containers_of(api, worker_id):
                if time.monotonic() > deadline:
                    raise RunnerHostUnavailable(f"{_name(worker_id)} is not gone after {GONE_SECONDS:.0f} s")
                time.sleep(0.1)

    @contextmanager
    def _asked(self, what: str) -> Iterator[APIClient]:
        """Give a client; what goes wrong with it becomes an error that names the host and `what` it was asked to do."""
        api = None
        try:
            _knock(self._url)
            options: dict[str, Any] = {**kwargs_from_env(), "base_url": self._url}
            api = _Client(timeout=CALL_SECONDS, **options)
            yield api
        except APIError as error:
            raise error_for(error, self._url, what) from error
        except (DockerException, TransportError, OSError) as error:
            raise transport_failure(error, self._url, what) from error
        finally:
            if api is not None:
                api.close()


class _Client(APIClient):
    """The SDK's client, which would follow redirects, pull without a time limit, and read answers without any."""

    def send(self, request: PreparedRequest, **kwargs: Any) -> Response:
        kwargs["timeout"] = kwargs.get("timeout") or SILENCE_SECONDS
        kwargs["allow_redirects"] = False
        is_streamed = kwargs.get("stream")
        response = super().send(request, **{**kwargs, "stream": True})
        if response.is_redirect:  # it might lead to what only we reach, Prefect's API on our loopback among it
            response.close()
            raise TooManyRedirects("a Docker daemon redirects nobody")
        if not is_streamed:
            with closing(response.raw) as raw:
                response.raw = io.BytesIO(_read(raw))
        return response


def _read(raw: Any) -> bytes:
    deadline = time.monotonic() + SILENCE_SECONDS
    content = bytearray()
    while piece := raw.read1(1 << 16, decode_content=True):
        content += piece
        if len(content) > MAX_ANSWER or time.monotonic() > deadline:
            raise ContentDecodingError(f"more than {MAX_ANSWER:,} bytes or {SILENCE_SECONDS:.0f} s")
    return bytes(content)


def _knock(url: str) -> None:
    """Connect to the socket of a daemon; the SDK leaves one that it cannot connect to open, and buries the reason."""
    if url.startswith("unix://"):
        with socket.socket(socket.AF_UNIX) as knocking:
            knocking.settimeout(CALL_SECONDS)
            knocking.connect(url.removeprefix("unix://"))


def _is_tcp(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme == "tcp" and bool(parts.hostname) and bool(parts.port) and parts.username is None
    except ValueError:
        return False


def _name(worker_id: UUID) -> str:
    return f"bootpress-runner-{worker_id}"


def _fingerprint(spec: RunnerSpec) -> str:
    """Tell apart what a container cannot change any more."""
    said = json.dumps([spec.image, spec.forge_url, spec.name, spec.labels])
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def _containers_of(api: APIClient, worker_id: UUID) -> list[dict[str, Any]]:
    return list(api.containers(all=True, filters={"label": f"{OWNER}={worker_id}"}))


def _create(api: APIClient, spec: RunnerSpec, made_for: str) -> str:
    try:
        made = api.create_container(
            spec.image,
            name=_name(spec.worker_id),
            labels={OWNER: str(spec.worker_id), MADE_FOR: made_for},
            environment={
                "GITEA_INSTANCE_URL": spec.forge_url,
                "GITEA_RUNNER_REGISTRATION_TOKEN_FILE": TOKEN_FILE,
                "GITEA_RUNNER_NAME": spec.name,
                "GITEA_RUNNER_LABELS": ",".join(spec.labels),
            },
            host_config=api.create_host_config(
                # `on-failure` would not survive a restart of the daemon, hence of the machine.
                restart_policy={"Name": "unless-stopped"},
                network_mode="host" if is_loopback(spec.forge_url) else None,
                # The default driver keeps all that a runner ever says.
                log_config=LogConfig(type="local", config={"max-size": "10m", "max-file": "3"}),
            ),
        )
    except APIError as error:
        if error.status_code != CONFLICT:
            raise
        # An earlier try of ours may have got through after we gave it up.
        ours = [one for one in _containers_of(api, spec.worker_id) if one["Labels"].get(MADE_FOR) == made_for]
        if not ours:
            raise
        return str(ours[0]["Id"])
    return str(made["Id"])


def _pull(api: APIClient, image: str, *, has_logins: bool) -> None:
    deadline = time.monotonic() + PULL_SECONDS
    try:
        for said in api.pull(image, stream=True, decode=True, auth_config=None if has_logins else {}):
            if "error" in said:
                raise image_pull_error(image, str(said["error"]), is_final=False)
            if time.monotonic() > deadline:
                raise image_pull_error(image, f"not done after {PULL_SECONDS:.0f} s", is_final=False)
    except APIError as error:
        raise image_pull_error(image, str(error.explanation), is_final=error.is_client_error()) from error


def _write_token(api: APIClient, container_id: str, token: str) -> None:
    """Put the token's file into a container; readable by all in it, since the runner need not be root there."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        entry = tarfile.TarInfo(TOKEN_FILE.lstrip("/"))
        entry.size, entry.mode = len(token.encode()), 0o444
        archive.addfile(entry, io.BytesIO(token.encode()))
    if not api.put_archive(container_id, "/", packed.getvalue()):
        raise RunnerHostRefused("Docker did not take the registration token's file")


def _remove(api: APIClient, container_id: str) -> None:
    with suppress(NotFound):
        api.stop(container_id, timeout=STOP_SECONDS)
        try:
            api.remove_container(container_id, v=True, force=True)
        except APIError as error:
            if error.status_code != CONFLICT:  # it is being removed already
                raise
