"""A registry in a container, for machines with Docker and without Debian's docker-registry.

`python -m bootpress.stack.container CONFIG STORAGE PORT` runs it in the foreground: the container ends with the
process, and one that a killed predecessor left is replaced.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import signal
import sys
from types import FrameType
from typing import Any, Final, NoReturn

IMAGE: Final = "registry:2"
TIMEOUT_SECONDS: Final = 20
STOP_SECONDS: Final = 2


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
            except DockerException as error:
                return f"Docker cannot pull {IMAGE}: {str(error)[:200]}"
        except DockerException as error:
            return f"Docker cannot be asked for {IMAGE}: {str(error)[:200]}"
    return None


def run(config: str, storage: str, port: int) -> int:
    """Run the container until it ends or a signal comes."""
    import docker  # noqa: PLC0415 - see above
    from docker.errors import NotFound  # noqa: PLC0415 - as above

    client = docker.from_env(timeout=TIMEOUT_SECONDS)
    name = f"bootpress-registry-{hashlib.sha256(storage.encode()).hexdigest()[:8]}"
    with contextlib.suppress(NotFound):
        client.containers.get(name).remove(force=True)
    container = client.containers.run(
        IMAGE,
        ["serve", "/config.yml"],
        name=name,
        detach=True,
        auto_remove=True,
        user=f"{os.getuid()}:{os.getgid()}",
        ports={"5000/tcp": ("127.0.0.1", port)},
        volumes={
            config: {"bind": "/config.yml", "mode": "ro"},
            storage: {"bind": "/var/lib/registry", "mode": "rw"},
        },
    )
    signal.signal(signal.SIGTERM, _leave)
    try:
        for line in container.logs(stream=True, follow=True):
            sys.stdout.buffer.write(line)
            sys.stdout.buffer.flush()
    finally:
        _remove(container)
    return 1  # it ended by itself


def _leave(_number: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(0)


def _remove(container: Any) -> None:
    from docker.errors import DockerException  # noqa: PLC0415 - see above

    try:
        container.stop(timeout=STOP_SECONDS)
    except DockerException as error:
        print(f"the container was gone already: {type(error).__name__}", flush=True)  # noqa: T201 - its log


if __name__ == "__main__":
    sys.exit(run(sys.argv[1], sys.argv[2], int(sys.argv[3])))
