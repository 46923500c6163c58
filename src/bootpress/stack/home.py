"""A home: the one folder that a stack writes to, its lock, and the endpoints file that says where the stack listens."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bootpress.core.errors import Conflict, InvalidInput
from bootpress.removal import remove_tree
from bootpress.stack.claiming import EMPTIED, MARKER, Standing, judge, marker_text

ENDPOINTS = "endpoints.json"


@dataclass(frozen=True, slots=True)
class Home:
    """The paths of a home; the folder need not exist yet."""

    folder: Path

    @property
    def endpoints(self) -> Path:
        """Return the file that is there while the stack is ready."""
        return self.folder / ENDPOINTS

    @property
    def ports(self) -> Path:
        """Return the file that keeps the ports."""
        return self.folder / "ports.json"

    @property
    def admin_token(self) -> Path:
        """Return the file that holds a token with every permission."""
        return self.folder / "admin.token"

    @property
    def run(self) -> Path:
        """Return the folder of what concerns one start only."""
        return self.folder / "run"

    @property
    def registry(self) -> Path:
        """Return the storage of the local registry."""
        return self.folder / "registry"

    @property
    def prefect(self) -> Path:
        """Return Prefect's own home."""
        return self.folder / "prefect"

    @property
    def prefect_auth(self) -> Path:
        """Return the file that holds the authentication string of our own Prefect server."""
        return self.folder / "prefect.auth"

    @property
    def tools(self) -> Path:
        """Return the folder of programs that were unpacked for this home."""
        return self.folder / "tools"

    @property
    def had_container(self) -> Path:
        """Return the file that is there once the registry has been run in a container."""
        return self.folder / "registry.container"

    def log(self, name: str) -> Path:
        """Return the log file of a process."""
        return self.folder / "logs" / f"{name}.log"

    @property
    def marker(self) -> Path:
        """Return the file that says that the folder is a home."""
        return self.folder / MARKER

    def create(self) -> None:
        """Make the folders, readable by their owner alone; InvalidInput where that is not possible.

        A folder that is not empty and is no home of ours is left as it is. One of a version without markers gets one.
        """
        standing = judge(self.folder)
        try:
            if standing is not Standing.HOME:
                self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                write_private(self.marker, marker_text())  # first: whatever else we write lies in a home
            for folder in ("", "logs", "run", "prefect", "registry", "tmp", "cache", "data"):
                (self.folder / folder).mkdir(parents=True, exist_ok=True, mode=0o700)
            self.folder.chmod(0o700)
        except OSError as error:
            raise InvalidInput(
                f"the home {self.folder} cannot be made: {error.strerror}", hint="choose another with --home"
            ) from error

    def clear(self) -> None:
        """Forget what the last start left that means nothing any more; what cannot be deleted stays."""
        self.remove_endpoints()
        for name in EMPTIED:
            remove_tree(self.folder / name)
            (self.folder / name).mkdir(mode=0o700, exist_ok=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the home for the block; Conflict while another process holds it. The kernel frees it when we die."""
        try:
            descriptor = os.open(self.folder / "up.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise InvalidInput(f"{self.folder / 'up.lock'} cannot be opened: {error.strerror}") from error
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                holder = os.pread(descriptor, 20, 0).decode(errors="replace").strip() or "unknown"
                raise Conflict(
                    f"`bootpress up` runs already on {self.folder} (process {holder})",
                    hint="stop it first, or choose another --home",
                ) from error
            os.truncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
            yield
        finally:
            os.close(descriptor)

    def is_locked(self) -> bool:
        """Tell whether a stack holds this home."""
        try:
            descriptor = os.open(self.folder / "up.lock", os.O_RDONLY)
        except OSError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def prefect_auth_string(self) -> str:
        """Return the authentication string of our own Prefect server, made at the first start that wants one."""
        path = self.prefect_auth
        if not path.exists() or not path.read_text().strip():
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_private(path, f"bootpress:{secrets.token_hex(32)}\n")
        if not path.is_symlink():  # what a link leads to is somebody else's to protect
            path.chmod(0o600)
        return path.read_text().strip()

    def worker_name(self) -> str:
        """Return the name that this home's worker has at every start, made at the first."""
        path = self.folder / "worker.name"
        if not path.exists():
            write_private(path, f"{socket.gethostname()[:40]}-{secrets.token_hex(3)}\n")
        return path.read_text().strip()

    def read_endpoints(self) -> dict[str, Any] | None:
        """Return what the endpoints file says, None where there is none that can be read."""
        try:
            found = json.loads(self.endpoints.read_text())
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def remove_endpoints(self) -> None:
        """Say that nothing is ready."""
        self.endpoints.unlink(missing_ok=True)


def write_private(path: Path, text: str) -> None:
    """Write a file of mode 0600 whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
