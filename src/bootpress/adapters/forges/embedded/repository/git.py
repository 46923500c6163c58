"""Bare repositories, through the git program."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bootpress.adapters.forges.embedded.repository import atomic_files
from bootpress.core.errors import ForgeRefused, ForgeUnavailable, InvalidInput

SECONDS: Final = 60.0
MAX_FILE: Final = 1 << 20
BRANCH: Final = "main"
TRIES: Final = 5
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?", re.ASCII)
_HINT = "apt install git"

ENVIRONMENT: Final = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_AUTHOR_NAME": "bootpress",
    "GIT_AUTHOR_EMAIL": "bootpress@localhost",
    "GIT_COMMITTER_NAME": "bootpress",
    "GIT_COMMITTER_EMAIL": "bootpress@localhost",
    "HOME": os.devnull,
    "LC_ALL": "C",
}
"""Whatever this user has configured for git is for their own work."""


def git(*words: str, cwd: Path | None = None, given: bytes = b"", extra: Mapping[str, str] | None = None) -> bytes:
    """Run git and return what it prints; ForgeUnavailable with its last words if it fails."""
    done = try_git(*words, cwd=cwd, given=given, extra=extra)
    if done.returncode != 0:
        words_of = done.stderr.decode(errors="replace").strip().splitlines() or [f"exit code {done.returncode}"]
        raise ForgeUnavailable(f"git {words[0]} failed: {words_of[-1][:200]}")
    return done.stdout


def try_git(
    *words: str, cwd: Path | None = None, given: bytes = b"", extra: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run git, however it ends; ForgeRefused where it is not installed."""
    environment = {"PATH": os.pathsep.join(os.get_exec_path()), **ENVIRONMENT, **(extra or {})}
    try:
        return subprocess.run(
            ["git", *words],  # noqa: S607 - git is wherever PATH says
            cwd=cwd,
            input=given,
            env=environment,
            capture_output=True,
            check=False,
            timeout=SECONDS,
        )
    except FileNotFoundError as error:
        if cwd is not None and not cwd.is_dir():
            raise ForgeUnavailable(f"the repository {cwd} is gone") from error
        raise ForgeRefused("the embedded forge needs the program git, which is not installed", hint=_HINT) from error
    except subprocess.TimeoutExpired as error:
        raise ForgeUnavailable(f"git {words[0]} took longer than {SECONDS:.0f} s") from error


def version() -> str:
    """Return git's version, such as `2.39.5`."""
    return git("version").decode().split()[2]


@dataclass(frozen=True, slots=True)
class Revision:
    """A branch or tag (`refs/heads/…`, `refs/tags/…`; a commit itself where that was asked for) and its commit."""

    ref: str
    commit: str


@dataclass(frozen=True, slots=True)
class Bare:
    """One bare repository."""

    folder: Path

    def exists(self) -> bool:
        """Tell whether it is there."""
        return (self.folder / "HEAD").is_file()

    def create(self, hook: str) -> None:
        """Make it, with a hook to be run after each push; one that is there stays as it is."""
        atomic_files.make_folder(self.folder.parent)
        with tempfile.TemporaryDirectory(dir=self.folder.parent, prefix=".new-") as temporary:
            made = Path(temporary) / "made"
            git("init", "--quiet", "--bare", f"--initial-branch={BRANCH}", "--template=", str(made))
            # A job asks for the commit that it is about, which need not be at the tip of a branch any more.
            git("config", "uploadpack.allowAnySHA1InWant", "true", cwd=made)
            atomic_files.make_folder(made / "hooks")
            written = made / "hooks" / "post-receive"
            written.write_text(hook)
            written.chmod(0o700)
            try:
                made.rename(self.folder)
            except OSError:
                if not self.exists():
                    raise

    def default_branch(self) -> str:
        """Return the branch that HEAD names, born or not."""
        return git("symbolic-ref", "--short", "HEAD", cwd=self.folder).decode().strip()

    def is_empty(self) -> bool:
        """Tell whether there is no branch and no tag."""
        return not git("for-each-ref", "--count=1", cwd=self.folder)

    def resolve(self, ref: str | None) -> Revision | None:
        """Find what a branch, a tag (also written in full) or a commit points to; None: the default branch."""
        name = self.default_branch() if ref is None else ref
        full = [name] if name.startswith(("refs/heads/", "refs/tags/")) else [f"refs/heads/{name}", f"refs/tags/{name}"]
        for candidate in full:
            if try_git("check-ref-format", candidate).returncode == 0 and (commit := self.commit_of(candidate)):
                return Revision(candidate, commit)
        if _COMMIT.fullmatch(name) and (commit := self.commit_of(name)):
            return Revision(commit, commit)
        return None

    def read(self, commit: str, path: str) -> bytes | None:
        """Return a file of a commit, or None; ForgeRefused if it is larger than 1 MiB."""
        entry = self._entry(commit, path)
        if entry is None or entry[1] != "blob":
            return None
        if int(entry[3]) > MAX_FILE:
            raise ForgeRefused(f"{path[:200]} is larger than 1 MiB", hint="keep large files out of what is read here")
        return git("cat-file", "blob", entry[2], cwd=self.folder)

    def list_folder(self, commit: str, folder: str) -> Sequence[str]:
        """List the names of the files in a folder of a commit."""
        found = git("ls-tree", "-z", "--full-tree", f"{commit}", f"{folder}/", cwd=self.folder)
        entries = [entry.partition(b"\t") for entry in found.split(b"\0") if entry]
        return [path.decode(errors="replace").rpartition("/")[2] for kind, _, path in entries if b" blob " in kind]

    def add(self, new: Mapping[str, bytes], message: str) -> tuple[Sequence[str], str, str]:
        """Commit what is not there to the default branch; return the paths, and the commits before and after.

        The branch moves only from the commit that was looked at: whoever pushed in between is not overwritten.
        """
        branch = f"refs/heads/{self.default_branch()}"
        for _ in range(TRIES):
            before = self.commit_of(branch)
            added = [path for path in new if before is None or self._entry(before, path) is None]
            if not added:
                return [], before or "", before or ""
            after = self._commit_files(before, {path: new[path] for path in added}, message)
            old = before or "0" * len(after)
            if try_git("update-ref", "-m", "add files", branch, after, old, cwd=self.folder).returncode == 0:
                return added, old, after
        raise ForgeUnavailable(f"{branch} of {self.folder.name} moved each time that files were to be added to it")

    def commit_of(self, name: str) -> str | None:
        """Return the commit that a ref, or an id, leads to."""
        found = try_git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}", cwd=self.folder)
        return found.stdout.decode().strip() if found.returncode == 0 else None

    def _entry(self, commit: str, path: str) -> Sequence[str] | None:
        """Return mode, type, id and size of what lies at a path, or None; `../` and patterns are names like others."""
        found = try_git("ls-tree", "-z", "--full-tree", "-l", commit, "--", f":(literal){path}", cwd=self.folder)
        entry, _, name = found.stdout.split(b"\0")[0].partition(b"\t")
        return entry.decode().split() if found.returncode == 0 and name == os.fsencode(path) else None

    def _commit_files(self, before: str | None, new: Mapping[str, bytes], message: str) -> str:
        with tempfile.TemporaryDirectory(dir=self.folder, prefix=".add-") as temporary:
            index = {"GIT_INDEX_FILE": str(Path(temporary) / "index")}
            if before is not None:
                git("read-tree", before, cwd=self.folder, extra=index)
            for path, content in new.items():
                blob = git("hash-object", "-w", "--stdin", cwd=self.folder, given=content).decode().strip()
                entry = try_git(
                    "update-index", "--add", "--cacheinfo", "100644", blob, path, cwd=self.folder, extra=index
                )
                if entry.returncode != 0:
                    raise InvalidInput(f"{path[:200]!r} is no path in a repository", field="files")
            tree = git("write-tree", cwd=self.folder, extra=index).decode().strip()
        parents = ("-p", before) if before else ()
        return git("commit-tree", tree, *parents, cwd=self.folder, given=message.encode()).decode().strip()
