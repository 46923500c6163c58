"""A real Gitea on a free loopback port: forge, Actions, and a container registry with token login.

Gitea refuses to run as root, so root runs it as another user, on a copy in a folder that this user can read.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from bootpress.core.ports import RegistryConnection
from tests.support import services
from tests.support.ports import free_port
from tests.support.processes import Program

USER = "nobody" if os.geteuid() == 0 else None
ADMIN = "keeper"
SCOPES = ("write:admin", "write:organization", "write:package", "write:repository", "write:user")
CONFIG = """
APP_NAME = tests
RUN_USER = {user}
RUN_MODE = prod
WORK_PATH = {home}
[server]
PROTOCOL = http
HTTP_ADDR = 127.0.0.1
HTTP_PORT = {port}
ROOT_URL = http://127.0.0.1:{port}/
OFFLINE_MODE = true
DISABLE_SSH = true
STATIC_ROOT_PATH = {home}/static
[database]
DB_TYPE = sqlite3
PATH = {home}/gitea.db
SQLITE_JOURNAL_MODE = WAL
[security]
INSTALL_LOCK = true
SECRET_KEY = {secret}
PASSWORD_HASH_ALGO = pbkdf2_v2
[log]
MODE = console
LEVEL = Info
[actions]
ENABLED = {actions}
[repository]
DEFAULT_BRANCH = main
[session]
PROVIDER = memory
[packages]
ENABLED = true
"""


@dataclass(frozen=True, slots=True)
class Gitea:
    """A running Gitea, with an administrator."""

    url: str
    password: str = field(repr=False)
    token: str = field(repr=False)
    """The administrator's, with the scopes that connecting a forge and a registry needs."""
    program: Program
    user: str = ADMIN

    @property
    def host(self) -> str:
        """Return `host:port`, as a reference to an image begins."""
        return self.url.removeprefix("http://")

    @property
    def registry(self) -> RegistryConnection:
        """Return how to reach its container registry."""
        return RegistryConnection("gitea", self.host, self.user, self.token)

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Call its API with the administrator's token; `path` comes after `/api/v1`. Return the answer's JSON."""
        headers = {"authorization": f"token {self.token}"}
        answer = httpx.request(
            method, f"{self.url}/api/v1{path}", json=body, headers=headers, trust_env=False, timeout=30
        )
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def create_token(self, name: str, *scopes: str) -> str:
        """Create another token of the administrator's; it can do what its scopes say."""
        return _create_token(self.url, self.password, name, scopes)


@contextmanager
def running_gitea(version: str = "126", *, actions: bool = True) -> Iterator[Gitea]:
    """Run one with an empty database, and with Actions or without; `version` is the part's: 126 or 125."""
    source = services.require(f"gitea{version}")
    services.require("git")
    # Not pytest's temporary folder: that one is closed to other users, and so would be the one in a private TMPDIR.
    home = Path(tempfile.mkdtemp(prefix="bootpress-gitea-", dir="/tmp" if USER else None))
    try:
        port, password = free_port(), secrets.token_urlsafe(12)
        program = _install(source, home, port, actions=actions)
        environment = {"HOME": str(home), "GITEA_WORK_DIR": str(home), "PATH": os.environ["PATH"], "NO_PROXY": "*"}
        config = ["--config", str(home / "app.ini")]
        argv = [str(program), "web", *config]
        with Program(argv, log=home / "gitea.log", env=environment, cwd=home, user=USER) as running:
            url = f"http://127.0.0.1:{port}"
            running.wait_until(lambda: _answers(url), what="Gitea answers")
            _create_admin([str(program), *config], password, environment, home)
            yield Gitea(url, password, _create_token(url, password, "tests", SCOPES), running)
    finally:
        shutil.rmtree(home)


def _install(source: Path, home: Path, port: int, *, actions: bool) -> Path:
    """Copy the program and what it reads to where its user can read it, and write its configuration."""
    program = home / "gitea"
    shutil.copy(source, program)
    program.chmod(0o755)
    for name in ("options", "public", "templates"):
        shutil.copytree(source.parent / name, home / "static" / name)
    user = USER or pwd.getpwuid(os.geteuid()).pw_name
    config = CONFIG.format(user=user, home=home, port=port, secret=secrets.token_hex(16), actions=str(actions).lower())
    (home / "app.ini").write_text(config)
    if USER:
        for path in (home, home / "app.ini"):
            shutil.chown(path, USER)
    return program


def _create_admin(gitea: list[str], password: str, environment: dict[str, str], home: Path) -> None:
    words = ["admin", "user", "create", "--admin", "--username", ADMIN, "--email", f"{ADMIN}@example.test"]
    words += ["--password", password, "--must-change-password=false"]
    subprocess.run(
        [gitea[0], *words, *gitea[1:]],
        check=True,
        capture_output=True,
        cwd=home,
        env=environment,
        user=USER,
        group=pwd.getpwnam(USER).pw_gid if USER else None,
        extra_groups=[] if USER else None,
        timeout=60,
    )


def _create_token(url: str, password: str, name: str, scopes: tuple[str, ...]) -> str:
    body = {"name": name, "scopes": list(scopes)}
    path = f"{url}/api/v1/users/{ADMIN}/tokens"
    answer = httpx.post(path, json=body, auth=(ADMIN, password), trust_env=False, timeout=30)
    assert answer.is_success, answer.text
    token: str = answer.json()["sha1"]
    return token


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/api/v1/version", trust_env=False, timeout=5).is_success
    except httpx.HTTPError:
        return False
