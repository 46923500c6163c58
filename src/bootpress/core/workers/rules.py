"""Rules of CI workers and their runners. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bootpress.core.webhooks.rules import label_key
from bootpress.core.workers.states import RunnerStatus

MAX_LOG_LINE = 200
MAX_LOG = 1000
_CONTROL = re.compile(r"\x1b\[[0-9;]*[A-Za-z]|[\x00-\x1f\x7f-\x9f]")


def owner_of(name: str, labels: Sequence[str], label_keys: Sequence[str]) -> int:
    """Return which of the workers of one repository, oldest first, a runner belongs to.

    It is the one whose label the runner has as its name or one of its labels, else the oldest.
    """
    own = [label_key(name), *(label_key(label) for label in labels)]
    matching = (index for index, key in enumerate(label_keys) if key in own)
    return next(matching, 0)


def runner_status(*, is_revoked: bool, registered: int, online: int) -> RunnerStatus:
    """Return how a worker is, of whose runners so many are registered and so many online."""
    if is_revoked:
        return RunnerStatus.REVOKED
    if online:
        return RunnerStatus.ONLINE
    return RunnerStatus.OFFLINE if registered else RunnerStatus.PENDING


def needs_key(*, is_known: bool, has_key: bool, rotate: bool, replaces: bool) -> tuple[bool, str | None]:
    """Tell whether a pipeline needs another signing key, and what to warn of.

    `is_known`: we made the key of before; `has_key`: the repository has one; `replaces`: also one of somebody else's.
    """
    if is_known and rotate:
        return True, (
            "the signing key is another now: until a platform trusts cosign_public_key, it rejects what is built next;"
            " name both keys in its trust while builds signed with the old one are under way"
        )
    if is_known and has_key:
        return False, None
    if is_known:
        return True, (
            "the repository has the signing key of before no more, so there is another now: name cosign_public_key in"
            " the trust of its platforms"
        )
    if has_key and not replaces:
        return False, (
            "the repository has a COSIGN_PRIVATE_KEY that was not made here: it is kept, and its public key is not"
            " known; create_signing_key replaces it"
        )
    return True, None


def provision_action(*, had: str | None, has: str) -> str:
    """Return what became of a worker's runner, by the ids of its container before and now."""
    if had == has:
        return "kept"
    return "created" if had is None else "replaced"


def end_of_log(lines: Sequence[str], *, secret: str) -> str:
    """Return the end of a log as one line of text that fits into an error: no secret, no control character."""
    found: list[str] = []
    for line in lines:
        said = _CONTROL.sub("", line.replace(secret, "***") if secret else line).strip()[:MAX_LOG_LINE]
        if said and said not in found[-1:]:
            found.append(said)
    while len(found) > 1 and sum(map(len, found)) > MAX_LOG:
        found.pop(0)
    return " / ".join(found) or "(it said nothing)"
