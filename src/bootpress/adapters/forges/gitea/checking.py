"""What a Gitea says of itself and of our token, by calls that change nothing."""

from __future__ import annotations

from http import HTTPStatus

from bootpress.adapters.forges.gitea.answers import has_scope, held_scopes
from bootpress.adapters.forges.gitea.api import GiteaApi
from bootpress.core.errors import ForgeUnavailable
from bootpress.core.ports import ForgeInfo

NEEDED = ("write:organization", "write:repository", "write:user")
"""What all of the port needs: organisation and user are there to create repositories in their names."""
PROBES = (
    "/notifications/new",
    "/admin/cron?page=1&limit=1",
    "/repos/issues/search?page=1&limit=1",
    "/packages/{user}?page=1&limit=1",
    "/repos/search?page=1&limit=1",
    "/user/orgs?page=1&limit=1",
)
"""Calls that only read, each for another scope, those first that few tokens have: whoever refuses one says in doing so
which scopes the token has, and a token's scopes cannot be asked for."""
UNKNOWN = "unknown"
PRIVATE = "private repositories (it is for public ones only)"


def check(api: GiteaApi) -> ForgeInfo:
    """Ask for the version, the user, the scopes and whether it runs workflows."""
    version, user = api.version(again=True), api.user(again=True)
    return ForgeInfo(version.text, user, _find_missing(api, user), actions_enabled=runs_workflows(api))


def _find_missing(api: GiteaApi, user: str) -> tuple[str, ...]:
    for probe in PROBES:
        answer = api.ask("GET", f"/api/v1{probe.format(user=user)}", to="read, so as to learn the token's scopes")
        held = held_scopes(answer.words) if answer.status == HTTPStatus.FORBIDDEN else None
        if held is not None:
            missing = tuple(scope for scope in NEEDED if not has_scope(held, scope))
            return (*missing, PRIVATE) if "public-only" in held else missing
    return (UNKNOWN,)


def runs_workflows(api: GiteaApi) -> bool | None:
    """Tell whether a Gitea has Actions at all: without them it does not answer its runners; None if that is unclear."""
    try:
        answer = api.ask("POST", "/api/actions/ping.v1.PingService/Ping", to="answer as it does its runners", body={})
    except ForgeUnavailable:
        return None
    if answer.status == HTTPStatus.OK and answer.is_json:
        return True
    return False if answer.status == HTTPStatus.NOT_FOUND else None
