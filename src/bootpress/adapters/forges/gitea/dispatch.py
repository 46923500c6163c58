"""Dispatch a workflow and learn which run that made.

Gitea says so from 1.26. Before, ours is among the runs that are there afterwards and were not before: it was made
before the dispatch was answered, and ids only grow. So where there is one such run of this workflow, ref and user, it
is ours; where there are several, the one that shows our dispatch id in its title (`run-name`) is. Nothing else proves
it, and no run is better than another's.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus

from bootpress.adapters.forges.gitea.part import Part
from bootpress.adapters.forges.gitea.paths import FULL_REFS, repository_path, with_query
from bootpress.adapters.forges.gitea.preflight import runs_workflows
from bootpress.adapters.forges.gitea.repositories import actions_disabled
from bootpress.adapters.forges.gitea.responses import GiteaResponse
from bootpress.adapters.forges.gitea.retry import AmbiguousOutcome
from bootpress.adapters.forges.gitea.runs import split_path
from bootpress.adapters.forges.gitea.schemas import DispatchedDocument, RepositoryDocument, RunDocument
from bootpress.adapters.forges.gitea.versions import Feature
from bootpress.core.errors import (
    BootpressError,
    ForgeOutcomeUnknown,
    ForgeRefused,
    ForgeUnavailable,
    NotFound,
    Unsupported,
)
from bootpress.core.ports import GitRepository

EVENT = "workflow_dispatch"
RECENT = 20


@dataclass(frozen=True, slots=True)
class _Dispatch:
    repository: GitRepository
    workflow: str
    ref: str
    """In full."""
    inputs: Mapping[str, str]
    dispatch_id: str | None

    @property
    def to(self) -> str:
        return f"dispatch {self.workflow} of {self.repository} at {self.ref}"

    def may_have_made(self, run: RunDocument, user: str) -> bool:
        is_ours = run.trigger_actor is None or run.trigger_actor.login == user
        return is_ours and run.event == EVENT and split_path(run.path) == (self.workflow, self.ref)

    def shows_in(self, run: RunDocument) -> bool:
        return self.dispatch_id is not None and self.dispatch_id in run.display_title


class WorkflowDispatch(Part):
    """Starts workflows."""

    def dispatch(
        self,
        repository: GitRepository,
        workflow: str,
        *,
        ref: str,
        inputs: Mapping[str, str],
        dispatch_id: str | None,
    ) -> str | None:
        """Start a workflow that has `workflow_dispatch`; return the run's id, or None where it cannot be told.

        Where it was sent and no answer came, ForgeUnsettled says that the workflow may run nevertheless.
        """
        self._check_repository(repository, workflow)
        for full_ref in _full_refs(ref):
            asked = _Dispatch(repository, workflow, full_ref, dict(inputs), dispatch_id)
            if self._api.version().has(Feature.RUN_DETAILS):
                was_taken, run_id = self._send(asked, None)
            else:
                with self._turn(asked):
                    was_taken, run_id = self._send(asked, self._newest(repository))
            if was_taken:
                return run_id
        raise NotFound(f"{repository} has no branch or tag {ref[:100]}")

    def _check_repository(self, repository: GitRepository, workflow: str) -> None:
        """Refuse what Gitea would take and never run, and what would break it: an empty repository does."""
        to = f"read the repository {repository}"
        found = self._api.request("GET", repository_path(repository), to=to).read(RepositoryDocument, to=to)
        if found.archived:
            raise ForgeRefused(f"{repository} is archived", hint="unarchive it in its settings")
        if not found.has_actions:
            if runs_workflows(self._api) is False:
                raise actions_disabled()
            raise ForgeRefused(
                f"Actions are disabled for {repository}",
                hint="enable them in its settings, or call bootstrap_disk_image_ci again, which does",
            )
        if found.empty:
            raise NotFound(f"{repository} has no workflow {workflow}: it is empty")

    def _send(self, asked: _Dispatch, before: int | None) -> tuple[bool, str | None]:
        """Dispatch; return whether there is such a ref, and the run's id. `before` is the newest run there was."""
        try:
            answer = self._api.request(
                "POST",
                with_query(
                    repository_path(asked.repository, "actions", "workflows", asked.workflow, "dispatches"),
                    return_run_details="true",
                ),
                to=asked.to,
                body={"ref": asked.ref, "inputs": asked.inputs},
                accept={HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY},
                feature=Feature.DISPATCH,
                is_repeatable=False,
            )
        except AmbiguousOutcome as failure:
            return True, self._recover(asked, before, failure)
        if answer.status == HTTPStatus.OK:
            try:
                return True, str(answer.read(DispatchedDocument, to=asked.to).workflow_run_id)
            except ForgeUnavailable as failure:
                return True, self._recover(asked, before, failure)
        if answer.status == HTTPStatus.NO_CONTENT:
            return True, self._tell(asked, before)
        if answer.status == HTTPStatus.NOT_FOUND and answer.message.startswith("ref "):
            return False, None
        raise _no_workflow(asked, answer)

    def _tell(self, asked: _Dispatch, before: int | None) -> str | None:
        """Return the id of the run that a dispatch made, by proof; None without one, also where looking failed."""
        try:
            runs = self._runs_since(asked, before)
        except BootpressError:
            return None
        shown = [run for run in runs if asked.shows_in(run)]
        if len(shown) == 1:
            return str(shown[0].id)
        return str(runs[0].id) if before is not None and len(runs) == 1 else None

    def _recover(self, asked: _Dispatch, before: int | None, failure: ForgeUnavailable) -> str:
        """Return the id of a run that shows our dispatch id, though no answer came; ForgeUnsettled if there is none.

        That it is the only one proves nothing here: there may be none of ours.
        """
        try:
            shown = [run for run in self._runs_since(asked, before) if asked.shows_in(run)]
        except BootpressError:
            shown = []
        if len(shown) == 1:
            return str(shown[0].id)
        raise ForgeOutcomeUnknown(
            f"{failure.message}; the workflow may run nevertheless",
            hint="look at the repository's runs before dispatching again: list_gitea_workflow_runs",
        ) from failure

    def _newest(self, repository: GitRepository) -> int | None:
        """Return the newest run's id, 0 if there is none; None where we may not look, as before 1.26 owners alone may.

        The user is asked for here, when nothing has been dispatched yet.
        """
        self._api.user()
        try:
            return next((run.id for run in self._list(repository, size=1)), 0)
        except (ForgeRefused, Unsupported):
            return None

    def _runs_since(self, asked: _Dispatch, before: int | None) -> Sequence[RunDocument]:
        runs = self._list(asked.repository, size=RECENT)
        recent = itertools.islice(runs, RECENT) if before is None else _newer(runs, before)
        user = self._api.user()
        return [run for run in recent if asked.may_have_made(run, user)]

    def _list(self, repository: GitRepository, *, size: int) -> Iterator[RunDocument]:
        return self._api.paginate(
            repository_path(repository, "actions", "runs"),
            RunDocument,
            key="workflow_runs",
            to=f"list the runs of {repository}",
            feature=Feature.RUNS,
            size=size,
        )

    @contextmanager
    def _turn(self, asked: _Dispatch) -> Iterator[None]:
        """Let others of this process wait that would dispatch the same between our two looks."""
        turn = self._turns.of(self._api.url, str(asked.repository).lower(), asked.workflow)
        if not turn.acquire(timeout=self._api.limits.call_seconds):
            raise ForgeUnavailable(f"asked to {asked.to}: others were dispatched all the while", retry_after=5)
        try:
            yield
        finally:
            turn.release()


def _newer(runs: Iterator[RunDocument], than: int) -> Iterator[RunDocument]:
    return itertools.takewhile(lambda run: run.id > than, runs)


def _full_refs(ref: str) -> tuple[str, ...]:
    """Return what a ref may stand for, in full: a branch, else a tag. Gitea takes a short one for a branch."""
    return (ref,) if ref.startswith(FULL_REFS) else tuple(prefix + ref for prefix in FULL_REFS)


def _no_workflow(asked: _Dispatch, answer: GiteaResponse) -> BootpressError:
    where = f"{asked.workflow} of {asked.repository} at {asked.ref}"
    if answer.status == HTTPStatus.NOT_FOUND:
        return NotFound(f"there is no workflow {where}", hint="push its file, or call bootstrap_disk_image_ci again")
    if "workflow_dispatch" in answer.message:
        return NotFound(f"the workflow {where} cannot be dispatched", hint="its `on` needs workflow_dispatch")
    return ForgeRefused(f"Gitea refuses to {asked.to}: {answer.quotable}")
