"""A registry in a container, for machines with Docker and without Debian's docker-registry.

python -m bootpress.stack.registry_container run STORAGE CONFIG FOLDER    run it in the foreground
python -m bootpress.stack.registry_container remove STORAGE               remove the container of a killed process
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import sys
import time
from types import FrameType
from typing import Any, Final, NoReturn

from bootpress.stack.registry_guard import SOCKET

IMAGE: Final = "registry:2"
TIMEOUT_SECONDS: Final = 20
SOCKETS: Final = "/run/bootpress"
STOP_SECONDS: Final = 2
GONE_SECONDS: Final = 3.0


def why_unavailable() -> str | None:
    """Return None if a daemon answers and has the image, pulled if need be; else the reason."""
    import docker  # noqa: PLC0415 - where it is needed only: most machines have the program
    from docker.errors import DockerException, ImageNotFound  # noqa: PLC0415 - as above

    try:
        client = docker.from_env(timeout=TIMEOUT_SECONDS)
    except DockerException:
        return "no Docker daemon answers"
    with contextlib.closing(client):
        try:
            client.images.get(IMAGE)
        except ImageNotFound:
            try:
                client.images.pull(IMAGE)
            except (DockerException, OSError) as error:
                return f"Docker cannot pull {IMAGE}: {str(error)[:200]}"
        # The SDK lets the errors of requests through, which are OSErrors: no answer in time, a connection cut off.
        except (DockerException, OSError) as error:
            return f"Docker cannot be asked for {IMAGE}: {str(error)[:200]}"
    return None


def run(storage: str, config: str, folder: str) -> int:
    """Run the container until it ends or SIGTERM comes, which may be at any moment from the first line on.

    It listens on a socket in `folder` alone: no port of this machine leads to it.
    """
    signal.signal(signal.SIGTERM, _leave)
    import docker  # noqa: PLC0415 - see above

    client = docker.from_env(timeout=TIMEOUT_SECONDS)
    try:
        _remove(client, storage)
        container = client.containers.run(
            IMAGE,
            ["serve", "/config.yml"],
            name=_name(storage),
            detach=True,
            auto_remove=True,
            user=f"{os.getuid()}:{os.getgid()}",
            network_mode="none",
            environment={"REGISTRY_HTTP_NET": "unix", "REGISTRY_HTTP_ADDR": f"{SOCKETS}/{SOCKET}"},
            volumes={
                config: {"bind": "/config.yml", "mode": "ro"},
                storage: {"bind": "/var/lib/registry", "mode": "rw"},
                folder: {"bind": SOCKETS, "mode": "rw"},
            },
        )
        for line in container.logs(stream=True, follow=True):
            sys.stdout.buffer.write(line)
            sys.stdout.buffer.flush()
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one must not cut this short
        _remove(client, storage)
    return 1  # it ended by itself


def remove(storage: str) -> int:
    """Remove the container of a storage, if there is one."""
    import docker  # noqa: PLC0415 - see above
    from docker.errors import DockerException  # noqa: PLC0415 - as above

    try:
        with contextlib.closing(docker.from_env(timeout=TIMEOUT_SECONDS)) as client:
            _remove(client, storage)
    except (DockerException, OSError) as error:
        sys.exit(f"Docker cannot be asked to remove the registry's container: {str(error)[:200]}")
    return 0


def _name(storage: str) -> str:
    return f"bootpress-registry-{hashlib.sha256(storage.encode()).hexdigest()[:8]}"


def _leave(_number: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(0)


def _remove(client: Any, storage: str) -> None:
    """Stop the container of a storage, whoever started it, and wait until its name and its port are free."""
    from docker.errors import APIError, NotFound  # noqa: PLC0415 - see above

    with contextlib.suppress(NotFound):
        found = client.containers.get(_name(storage))
        found.stop(timeout=STOP_SECONDS)
        with contextlib.suppress(APIError):  # the daemon may be removing it already
            found.remove(force=True)  # one that never began is not removed by stopping it
        deadline = time.monotonic() + GONE_SECONDS
        while time.monotonic() < deadline:
            client.containers.get(_name(storage))
            time.sleep(0.05)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["run", storage, config, folder]:
            sys.exit(run(storage, config, folder))
        case ["remove", storage]:
            sys.exit(remove(storage))
        case _:
            sys.exit(__doc__)
