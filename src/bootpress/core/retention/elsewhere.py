"""What becomes of a manifest that others need under other names of its registry: known others keep it.

Registries are asked before the transaction that decides, never inside it. What was not asked about by then is asked,
and decided about again. Where nothing can be proven, nothing is deleted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import UUID

from bootpress.core.connections.service import find_connection
from bootpress.core.context import Context
from bootpress.core.errors import RegistryUnavailable
from bootpress.core.references import Repository
from bootpress.core.retention.identity import Identity, Place, stored_probe
from bootpress.core.retention.states import StepStatus
from bootpress.core.retention.unreachable import Unreachable
from bootpress.core.retention.usage import MAX_REPOSITORIES, Need


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a step, and why it is not deleted."""

    status: StepStatus
    because: str | None = None


class _NotAnsweredError(Exception):
    """The other name gives no answer; the text says why."""


DELETE = Decision(StepStatus.DELETING)
_STRENGTH = (StepStatus.KEPT, StepStatus.HELD, StepStatus.LEFT, StepStatus.DELETING)


class Elsewhere:
    """The answers that one purge has so far, by repository and digest."""

    def __init__(self, context: Context, account_id: UUID, here: Place, unreachable: Unreachable) -> None:
        self._context, self._account_id, self._here, self._unreachable = context, account_id, here, unreachable
        self._answers: dict[tuple[Repository, str], Identity | str] = {}
        """Where nobody could be asked, why."""

    def ask(self, needs: Iterable[Need], digest: str) -> None:
        """Find out of each other name whether it leads here; raises RegistryUnavailable for our own registry."""
        for need in needs:
            key = need.repository, digest
            if not self._is_here(need) and key not in self._answers:
                self._answers[key] = self._find_out(need, digest)

    def decide(self, needs: Sequence[Need], digest: str) -> Decision | None:
        """Decide about a manifest; None when something must be asked first."""
        if sum(need.is_read for need in needs) > MAX_REPOSITORIES:
            return Decision(StepStatus.KEPT, f"more than {MAX_REPOSITORIES} repositories have it")
        decisions = [DELETE]
        for need in needs:
            decision = self._decide(need, digest)
            if decision is None:
                return None
            decisions.append(decision)
        return min(decisions, key=lambda one: _STRENGTH.index(one.status))

    def _decide(self, need: Need, digest: str) -> Decision | None:
        who = self._told(need)
        if self._is_here(need):
            return Decision(StepStatus.KEPT, f"{who} uses it")
        names = f"{who} uses it as {need.repository}"
        match self._answers.get((need.repository, digest)):
            case None:
                return None
            case Identity.SAME:
                return Decision(StepStatus.KEPT, f"{names}, which is {self._here.repository} by another name")
            case Identity.OTHER:
                return DELETE
            case Identity.UNPROVABLE:
                because = f"{names}, and {self._here.repository} takes no blob that would prove whether it is the same"
                # Of two that wait for each other, the one that is purged later deletes it.
                return Decision(StepStatus.LEFT if need.is_leaving else StepStatus.HELD, because)
            case str(trouble):
                return self._decide_unanswered(need, f"{names}, which may be {self._here.repository}", trouble)

    def _decide_unanswered(self, need: Need, names: str, trouble: str) -> Decision:
        if not need.is_read:
            # A digest may be announced from anywhere. What is read from there meanwhile is looked at once more.
            return DELETE
        return Decision(StepStatus.HELD, f"{names} by another name, and {trouble}")

    def _is_here(self, need: Need) -> bool:
        return need.repository.canonical == self._here.repository.canonical

    def _find_out(self, need: Need, digest: str) -> Identity | str:
        try:
            with self._asking(need) as there:
                is_there = there.registry.has_manifest(there.repository, digest)
                # Registries say so too where a credential may not see what is there; what it sees shows that it may.
                is_shown = is_there or there.registry.has_manifest(there.repository, need.image)
            if not is_there:
                return self._find_alone(digest, is_shown=is_shown)
            with stored_probe(self._here) as probe:
                if probe is None:
                    return Identity.UNPROVABLE
                with self._asking(need) as there:
                    return Identity.SAME if there.registry.has_blob(there.repository, probe) else Identity.OTHER
        except _NotAnsweredError as error:
            return str(error)

    def _find_alone(self, digest: str, *, is_shown: bool) -> Identity | str:
        """Tell what follows when the other name does not serve a manifest; of what neither serves, nothing is lost."""
        if not self._here.registry.has_manifest(self._here.repository, digest):
            return Identity.SAME
        return Identity.OTHER if is_shown else "does not serve it, or not to our credential"

    @contextmanager
    def _asking(self, need: Need) -> Iterator[Place]:
        try:
            connection = find_connection(self._context, need.account_id, need.repository.host, need.registry_name)
            registry = self._context.registries.open(connection)
            with self._unreachable.asking_other(need.account_id, connection, registry, need.repository):
                yield Place(registry, need.repository)
        except RegistryUnavailable as error:
            said = f": {error}" if need.account_id == self._account_id else ""
            raise _NotAnsweredError(f"cannot be asked{said}") from error

    def _told(self, need: Need) -> str:
        """Say who needs it; of another account no more than that."""
        return str(need) if need.account_id == self._account_id else "a publication of another account"
