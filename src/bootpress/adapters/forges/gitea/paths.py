"""Paths of Gitea's API, their parts quoted."""

from __future__ import annotations

from urllib.parse import quote, urlencode

from bootpress.core.errors import InvalidInput
from bootpress.core.ports import GitRepository

FULL_REFS = ("refs/heads/", "refs/tags/")


def repository_path(repository: GitRepository, *parts: str) -> str:
    """Return the path of a repository, or of something below it."""
    words = [repository.owner, repository.name, *parts]
    return "/repos/" + "/".join(quote(word, safe="") for word in words)


def owner_path(kind: str, *parts: str) -> str:
    """Return the path of a user or an organisation, or of something below it."""
    return f"/{kind}/" + "/".join(quote(word, safe="") for word in parts)


def file_path(repository: GitRepository, path: str) -> str:
    """Return the path of a file's content; InvalidInput unless it is a plain relative path."""
    parts = path.split("/")
    if any(part in {"", ".", ".."} for part in parts) or not path.isprintable():
        raise InvalidInput(
            f"{path[:200]!r} is no path of a file in a repository", hint="write folder/file", field="path"
        )
    return repository_path(repository, "contents", *parts)


def with_query(path: str, **query: str | int) -> str:
    """Return a path with a query behind it."""
    return f"{path}?{urlencode(query)}" if query else path


def is_id(text: str) -> bool:
    """Tell whether a text can be the id of something: Gitea counts from 1, and reads other words as 0."""
    return text.isascii() and text.isdigit() and len(text) <= 18 and text[0] != "0"  # noqa: PLR2004 - int64


def short_ref(ref: str) -> str:
    """Return the name of a branch or tag that is given in full; any other as it is."""
    return next((ref.removeprefix(prefix) for prefix in FULL_REFS if ref.startswith(prefix)), ref)
