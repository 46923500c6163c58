"""Execute the scripts of a job in a container on this machine, through the Docker SDK.

The job's folder, the repository (read-only) and its cache are there at their own paths, and the network is this
machine's, since registry and API of a small installation are on its loopback. Scripts run as our user. It keeps a
build's programs apart from this machine's; it is no wall around code that is not trusted.

The container's own program waits for its input to end, which we hold open: however the run's process dies, its
container ends and is removed by the daemon.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from docker import APIClient
from docker.errors import APIError, DockerException, ImageNotFound
from docker.types import Mount
from urllib3.exceptions import HTTPError

from bootpress.adapters.forges.embedded.execution import orphan_processes
from bootpress.adapters.forges.embedded.execution.executors import GRACE_SECONDS, RunningProcess
from bootpress.adapters.forges.embedded.execution.job_environment import JobEnvironment
from bootpress.core.errors import ForgeRefused

CALL_SECONDS: Final = 60
TICK_SECONDS: Final = 0.05
DEFAULT_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
RUN: Final = "io.bootpress.run"


def check(url: str) -> None:
    """Raise ForgeRefused unless a Docker daemon of this machine answers."""
    if not url.startswith("unix://"):
        raise ForgeRefused(
            f"the Docker daemon {url[:200]} is on another machine", hint="containers need one of this machine"
        )
    with _asked("answer"), closing(_client(url)) as api:
        api.ping()


class ContainerExecutor:
    """Starts scripts in one container, which lasts from `open` to `close`; they print into the named pipe `output`."""

    def __init__(self, api: APIClient, container: str, held: Any, around: JobEnvironment, path: str) -> None:
        self._api = api
        self._container = container
        self._held = held
        self._around = around
        self.host = {**around.orders.host, "PATH": path}

    @classmethod
    def open(cls, url: str, image: str, around: JobEnvironment, look: Callable[[], None]) -> ContainerExecutor:
        """Start a container of an image, pulled if it is not there; ForgeRefused if that cannot be."""
        with _asked("answer"):
            api = _client(url)
        try:
            with _asked(f"run a container of {image[:200]}"):
                about = _image(api, image, look)
                made = _create(api, image, around)
                held = api.attach_socket(made, params={"stdin": 1, "stream": 1})
                api.start(made)
        except BaseException:
            api.close()
            raise
        given = dict(each.partition("=")[::2] for each in about["Config"].get("Env") or ())
        return cls(api, made, held, around, given.get("PATH") or DEFAULT_PATH)

    def start(self, words: Sequence[str], *, folder: Path, env: Mapping[str, str]) -> RunningProcess:
        """Start a program."""
        with _asked("execute a script"):
            made = self._api.exec_create(
                self._container,
                ["sh", "-c", 'exec "$@" > "$0" 2>&1 < /dev/null', str(self._around.pipe), *words],
                environment=dict(env),
                workdir=str(folder),
                user=_user(),
            )
            self._api.exec_start(made["Id"], detach=True)
        return _Executed(self._api, str(made["Id"]), self._around.mark)

    def close(self) -> None:
        """Remove the container."""
        with suppress(APIError, DockerException, HTTPError, OSError), closing(self._api), closing(self._held):
            self._api.remove_container(self._container, force=True, v=True)


class _Executed:
    def __init__(self, api: APIClient, exec_id: str, mark: str) -> None:
        self._api = api
        self._exec = exec_id
        self._mark = mark

    def wait(self, seconds: float) -> int | None:
        deadline = time.monotonic() + seconds
        while True:
            with _asked("say how a script is doing"):
                found = self._api.exec_inspect(self._exec)
            if not found["Running"] and found["ExitCode"] is not None:
                return int(found["ExitCode"])
            if time.monotonic() > deadline:
                return None
            time.sleep(TICK_SECONDS)

    def end(self, *, at_once: bool) -> int:
        if not at_once:
            orphan_processes.terminate_all(self._mark)
            with suppress(ForgeRefused):
                if (code := self.wait(GRACE_SECONDS)) is not None:
                    return code
        orphan_processes.kill_all(self._mark)
        return 1


def _image(api: APIClient, image: str, look: Callable[[], None]) -> Mapping[str, Any]:
    with suppress(ImageNotFound):
        return _inspect(api, image)
    for said in api.pull(image, stream=True, decode=True):
        look()
        if "error" in said:
            raise ForgeRefused(f"Docker cannot pull {image[:200]}: {str(said['error'])[:300]}")
    return _inspect(api, image)


def _inspect(api: APIClient, image: str) -> Mapping[str, Any]:
    return dict(api.inspect_image(image))  # type: ignore[no-untyped-call]  # its stubs say nothing of it


def _create(api: APIClient, image: str, around: JobEnvironment) -> str:
    repository = str(around.bare)
    made = api.create_container(
        image,
        entrypoint=["cat"],
        command=[],
        stdin_open=True,
        user=_user(),
        working_dir=str(around.workspace),
        labels={RUN: around.mark},
        host_config=api.create_host_config(
            auto_remove=True,
            network_mode="host",
            mounts=[
                Mount(target=path, source=path, type="bind", read_only=path == repository)
                for path in (str(around.folder), around.orders.cache, repository)
            ],
        ),
    )
    return str(made["Id"])


def _user() -> str:
    return f"{os.getuid()}:{os.getgid()}"


def _client(url: str) -> APIClient:
    return APIClient(base_url=url, timeout=CALL_SECONDS)


@contextmanager
def _asked(what: str) -> Iterator[None]:
    """Make of whatever goes wrong ForgeRefused, which says what Docker said."""
    try:
        yield
    except APIError as error:
        said = " ".join(str(error.explanation or error).split())[:300]
        raise ForgeRefused(f"Docker did not {what}: {said}") from error
    except (DockerException, HTTPError, OSError) as error:
        raise ForgeRefused(
            f"no Docker daemon could be asked to {what}", hint="start Docker, or leave `container` away"
        ) from error
