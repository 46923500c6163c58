"""Pure rules of builds: what they may become, when they are asked about, and which one a delivery belongs to."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bootpress.core.builds.states import BuildStatus
from bootpress.core.deliveries.payload import DeliveryPayload
from bootpress.core.errors import InvalidInput
from bootpress.core.references import parse_reference
from bootpress.core.state_machine import StateMachine

DEFAULT_TIMEOUT_MINUTES = 120
"""Of a build that belongs to no platform we know."""
FIRST_POLL = timedelta(seconds=45)
"""The forge is asked about a young build once a minute, the tick's own interval, which is never quite a minute."""
MAX_POLL = timedelta(minutes=5)
GRACE = timedelta(minutes=1)
"""How long after the end of its run a callback may still be on its way through us."""
RECOVERY_WINDOW = timedelta(minutes=10)
"""How long the registry is searched for the image of a run that ended well and did not call back."""
SUSPEND_MARGIN = timedelta(minutes=15)
"""How much longer than its build a flow run waits, so that it is us who end it, with a reason."""
MAX_TAG = 128
DISPATCH_ID = "io.bootpress.dispatch-id"
REVISION = "org.opencontainers.image.revision"
_FULL = re.compile(r"refs/(?:heads|tags)/")
_NOT_IN_TAGS = re.compile(rb"[^A-Za-z0-9_.-]")
_SIGNATURES = re.compile(r"sha256-[0-9a-fA-F]{64}")

BUILD = StateMachine(
    noun="build",
    moves={
        "run": (frozenset({BuildStatus.DISPATCHED, BuildStatus.RUNNING}), BuildStatus.RUNNING),
        "call back": (frozenset({BuildStatus.DISPATCHED, BuildStatus.RUNNING}), BuildStatus.CALLBACK_RECEIVED),
        "publish": (frozenset({BuildStatus.CALLBACK_RECEIVED}), BuildStatus.PUBLISHED),
        "recover": (frozenset({BuildStatus.DISPATCHED, BuildStatus.RUNNING}), BuildStatus.LOST_CALLBACK_RECOVERED),
        "fail": (
            frozenset({BuildStatus.DISPATCHED, BuildStatus.RUNNING, BuildStatus.CALLBACK_RECEIVED}),
            BuildStatus.FAILED,
        ),
        "time out": (frozenset({BuildStatus.DISPATCHED, BuildStatus.RUNNING}), BuildStatus.TIMED_OUT),
        "cancel": (frozenset({BuildStatus.DISPATCHED, BuildStatus.RUNNING}), BuildStatus.CANCELLED),
    },
)
OPEN = (BuildStatus.DISPATCHED, BuildStatus.RUNNING)
"""A callback may still come."""
UNFINISHED = (*OPEN, BuildStatus.CALLBACK_RECEIVED)


@dataclass(frozen=True, slots=True)
class CallbackMatch:
    """What is known of a build before its callback comes."""

    dispatch_id: str
    run_id: str | None
    platforms: frozenset[str]
    """What an announcement may call its platform: the slug it was dispatched with, and the platform's id."""
    head_sha: str | None
    ref: str
    """Branch or tag that it was dispatched at."""


def deadline(now: datetime, timeout_minutes: int | None) -> datetime:
    """Return when a build that begins now is given up."""
    return now + timedelta(minutes=timeout_minutes or DEFAULT_TIMEOUT_MINUTES)


def should_poll_forge(
    *,
    created_at: datetime,
    last_polled_at: datetime | None,
    run_ended_at: datetime | None,
    deadline_at: datetime,
    now: datetime,
) -> bool:
    """Tell whether it is time to ask the forge about a build: often while it is young, when it ends, and at the last.

    An old one is asked about every tenth of its age, five minutes apart at most.
    """
    if last_polled_at is None or run_ended_at is not None or now >= deadline_at or last_polled_at > now:
        return True
    return now - last_polled_at >= min(max((now - created_at) / 10, FIRST_POLL), MAX_POLL)


def is_over(*, deadline_at: datetime, was_answered: bool, now: datetime) -> bool:
    """Tell whether a build has timed out: at its deadline, or when forge or registry were away then, a search later."""
    return now >= (deadline_at if was_answered else deadline_at + RECOVERY_WINDOW)


def image_tag(ref: str) -> str:
    """Return the tag that the template's workflow gives the image of a branch or tag (deployments/build-repo).

    Bytes that no tag may hold become dashes, and what no tag may begin with, or where signatures lie, gets an
    underscore before it (OCI distribution-spec 1.1, "Pulling manifests"). A full ref counts as the name in it.
    """
    name = ref[found.end() :] if (found := _FULL.match(ref)) else ref
    tag = _NOT_IN_TAGS.sub(b"-", name.encode(errors="surrogateescape")).decode()
    return (f"_{tag}" if not tag or tag[0] in ".-" or _SIGNATURES.match(tag) else tag)[:MAX_TAG]


def is_built_by(annotations: Mapping[str, str], *, dispatch_id: str, head_sha: str | None) -> bool:
    """Tell whether a manifest says that a build made it: by the dispatch id, or where it has none by the commit."""
    said = annotations.get(DISPATCH_ID)
    if said:
        return said == dispatch_id
    return bool(head_sha) and annotations.get(REVISION, "").lower() == str(head_sha).lower()


def match(said: DeliveryPayload, waiting: Sequence[CallbackMatch]) -> CallbackMatch | None:
    """Return the build that an announcement is the callback of, None if it is nobody's; `waiting` is oldest first.

    By the dispatch id; else by the run; else by platform and commit, of one commit's builds the one whose tag it names;
    else, where it names none of these and only one build can be meant, by platform and tag. An id that none of them has
    is another's, never guessed around.
    """
    if said.dispatch_id:
        return next((one for one in waiting if one.dispatch_id == said.dispatch_id), None)
    ours = [one for one in waiting if not one.platforms or said.platform_slug in one.platforms]
    if said.run_id:
        runs = [one for one in ours if one.run_id == said.run_id]
        if runs:
            return runs[0] if len(runs) == 1 else None
        ours = [one for one in ours if one.run_id is None]
    ours = [one for one in ours if one.platforms]
    if said.git_sha:
        ours = [one for one in ours if one.head_sha and one.head_sha.lower() == said.git_sha.lower()]
    elif said.run_id:
        return None
    tagged = [one for one in ours if image_tag(one.ref) == _tag(said.oci_ref)]
    if said.git_sha:
        return next(iter(tagged or ours), None)
    return tagged[0] if len(tagged) == 1 else None


def _tag(reference: str) -> str | None:
    try:
        return parse_reference(reference, default_host="localhost").tag
    except InvalidInput:
        return None
