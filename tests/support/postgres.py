"""A PostgreSQL cluster of the tests' own: another port, another folder, another password than the machine's."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql
from sqlalchemy import URL, make_url

from tests.support import services
from tests.support.databases import migrate
from tests.support.ports import free_port
from tests.support.processes import Program, listens

# Durability is what tests can do without: a third of the time of a test with its own database.
FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off", "wal_level=minimal", "max_wal_senders=0")
# PostgreSQL refuses to run as root; its package brings this user.
USER = "postgres" if os.geteuid() == 0 else None


class Cluster:
    """A running cluster; `url` is its maintenance database, as SQLAlchemy writes it, password included."""

    def __init__(self, url: URL, program: Program) -> None:
        self.url = url.render_as_string(hide_password=False)
        self.program = program
        self._url = url
        self._made = 0
        self._template: str | None = None

    def create_catalog(self) -> str:
        """Create a database with the current schema, a copy of one that was migrated; return its URL."""
        if self._template is None:
            self._template = make_url(migrate(self.create_database())).database
        return self.create_database(template=self._template)

    def create_database(self, *, password: str | None = None, template: str | None = None) -> str:
        """Create an empty database, or a copy of another; return its URL.

        With a password the URL is that of a login of its own that owns it.
        """
        self._made += 1
        name = f"test_{self._made}"
        self._execute(f"CREATE DATABASE {name} TEMPLATE {template or 'template1'}")
        url = self._url.set(database=name)
        if password is not None:
            self._execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(name), password))
            self._execute(f"ALTER DATABASE {name} OWNER TO {name}")
            url = url.set(username=name, password=password)
        return url.render_as_string(hide_password=False)

    def drop_database(self, url: str) -> None:
        """Drop a database; whoever is still connected is thrown out."""
        self._execute(f"DROP DATABASE {make_url(url).database} WITH (FORCE)")

    @contextmanager
    def closed(self, url: str) -> Iterator[None]:
        """Throw everybody out of a database for the length of the block, and let nobody in, as in an outage."""
        name = make_url(url).database
        self._execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        self._execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")  # noqa: S608 - a name of ours
        try:
            yield
        finally:
            self._execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")

    def read_tables(self, url: str) -> Iterator[tuple[str, bytes]]:
        """Yield the name and content of every table of a database; COPY's binary form leaves texts as they are."""
        with psycopg.connect(_conninfo(self._url.set(database=make_url(url).database))) as connection:
            named = "SELECT schemaname, tablename FROM pg_tables WHERE schemaname !~ '^(pg_|information_schema$)'"
            for schema, name in connection.execute(named).fetchall():
                copied = sql.SQL("COPY {} TO STDOUT (FORMAT binary)").format(sql.Identifier(schema, name))
                with connection.cursor().copy(copied) as copy:
                    yield name, b"".join(copy)

    def _execute(self, statement: str | sql.Composed) -> None:
        with psycopg.connect(_conninfo(self._url), autocommit=True) as connection:
            connection.execute(statement.encode() if isinstance(statement, str) else statement)


@contextmanager
def cluster() -> Iterator[Cluster]:
    """Run a cluster for the length of the block."""
    bin_folder = services.require("postgresql").parent
    # Not pytest's temporary folder: that one is closed to other users, and so would be the one in a private TMPDIR.
    home = Path(tempfile.mkdtemp(prefix="bootpress-postgres-", dir="/tmp" if USER else None))
    try:
        if USER:
            shutil.chown(home, USER)
        password = secrets.token_urlsafe(12)
        _initdb(bin_folder, home, password)
        port = free_port()
        url = URL.create("postgresql+psycopg", "bootpress", password, "127.0.0.1", port, "postgres")
        settings = [*FAST, "listen_addresses=127.0.0.1", f"port={port}", f"unix_socket_directories={home}"]
        argv = [str(bin_folder / "postgres"), "-D", str(home / "data"), *(f"--{setting}" for setting in settings)]
        program = Program(argv, log=home / "log", cwd=home, user=USER)
        try:
            program.wait_until(lambda: listens(port) and _answers(url), what="PostgreSQL answers")
            yield Cluster(url, program)
        finally:
            program.stop(how=signal.SIGINT)  # a fast shutdown: it waits for nobody
    finally:
        shutil.rmtree(home)


def _initdb(bin_folder: Path, home: Path, password: str) -> None:
    password_file = home / "password"
    password_file.touch(mode=0o600)
    if USER:
        shutil.chown(password_file, USER)
    password_file.write_text(password)
    command = [str(bin_folder / "initdb"), "-D", str(home / "data"), "-U", "bootpress", "-E", "UTF8", "--locale=C"]
    command += ["--auth=scram-sha-256", f"--pwfile={password_file}", "--no-sync"]
    group = pwd.getpwnam(USER).pw_gid if USER else None
    subprocess.run(
        command, user=USER, group=group, extra_groups=[] if USER else None, cwd=home, check=True, capture_output=True
    )


def _answers(url: URL) -> bool:
    try:
        psycopg.connect(_conninfo(url)).close()
    except psycopg.OperationalError:  # it listens a moment before it is ready
        return False
    return True


def _conninfo(url: URL) -> str:
    return url.set(drivername="postgresql").render_as_string(hide_password=False)
