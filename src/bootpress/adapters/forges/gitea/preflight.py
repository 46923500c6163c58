"""What a Gitea says of itself and of our token, by calls that change nothing."""

from __future__ import annotations

from http import HTTPStatus

from bootpress.adapters.forges.gitea.api import GiteaApi
from bootpress.adapters.forges.gitea.responses import has_scope, held_scopes
from bootpress.core.errors import ForgeUnavailable
from bootpress.core.ports import ForgeInfo

ORGANISATION, REPOSITORY, USER = "write:organization", "write:repository", "write:user"
"""What all of the port needs; the first and the last are to create repositories, in whose name is the difference."""
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


def check(api: GiteaApi, owner: str | None) -> ForgeInfo:
    """Ask for the version, the user, the scopes and whether it runs workflows."""
    version, user = api.version(again=True), api.user(again=True)
    missing = _find_missing(api, user, _needed(user, owner))
    return ForgeInfo(version.text, user, missing, actions_enabled=runs_workflows(api))


def _needed(user: str, owner: str | None) -> tuple[str, ...]:
    if owner is None:
        return ORGANISATION, REPOSITORY, USER
    return (REPOSITORY, USER) if owner.lower() == user.lower() else (ORGANISATION, REPOSITORY)


def _find_missing(api: GiteaApi, user: str, needed: tuple[str, ...]) -> tuple[str, ...]:
    for probe in PROBES:
        answer = api.request_raw(
            "GET", f"/api/v1{probe.format(user=user)}", to="read, so as to learn the token's scopes"
        )
        held = held_scopes(answer.message) if answer.status == HTTPStatus.FORBIDDEN else None
        if held is not None:
            missing = tuple(scope for scope in needed if not has_scope(held, scope))
            return (*missing, PRIVATE) if "public-only" in held else missing
    return (UNKNOWN,)


def runs_workflows(api: GiteaApi) -> bool | None:
    """Tell whether a Gitea has Actions at all: without them it does not answer its runners; None if that is unclear."""
    try:
        answer = api.request_raw(
            "POST", "/api/actions/ping.v1.PingService/Ping", to="answer as it does its runners", body={}
        )
    except ForgeUnavailable:
        return None
    if answer.status == HTTPStatus.OK and answer.is_json:
        return True
    return False if answer.status == HTTPStatus.NOT_FOUND else None
