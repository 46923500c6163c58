"""Which run a dispatch made: what Gitea says, what looking before and after proves, and what proves nothing."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from bootpress.adapters.forges.gitea import Clock, GiteaForge, KeyedLocks, Limits
from bootpress.core.errors import ForgeOutcomeUnknown, ForgeRefused, ForgeUnavailable, NotFound
from bootpress.core.ports import GitRepository
from tests.support.conformance_forge import at_once
from tests.support.scripted_forge import HOME, Asked, Reply, ScriptedForge, refused, repository, said

REPOSITORY = GitRepository.parse(HOME)
PROJECT = f"GET /repos/{HOME}"
RUNS = f"GET /repos/{HOME}/actions/runs"
DISPATCHES = f"POST /repos/{HOME}/actions/workflows/build.yml/dispatches"
EPOCH = "1970-01-01T00:00:00Z"
ID = "3b1f0c6e"
TAKEN = Reply(204)


def run(number: int, *, title: str = "Begin", path: str = "build.yml@refs/heads/main", by: str = "keeper") -> object:
    """Describe a run as Gitea does."""
    return {
        "id": number,
        "path": path,
        "event": "workflow_dispatch",
        "display_title": title,
        "head_sha": "0" * 40,
        "status": "queued",
        "html_url": f"http://forge/{HOME}/actions/runs/{number}",
        "started_at": EPOCH,
        "completed_at": EPOCH,
        "trigger_actor": {"login": by},
    }


def runs(*listed: object) -> Reply:
    return said({"workflow_runs": list(listed), "total_count": len(listed)})


@pytest.fixture
def old(scripted: ScriptedForge) -> ScriptedForge:
    """Return a forge that does not say which run a dispatch made."""
    scripted.answers["GET /version"] = [said({"version": "1.25.5"})]
    scripted.answers[DISPATCHES] = [TAKEN]
    return scripted


@pytest.fixture
def forge(scripted: ScriptedForge) -> GiteaForge:
    return GiteaForge(scripted.url, "f00d" * 10, timing=Clock(sleep=lambda _: None))


def dispatch(forge: GiteaForge, *, ref: str = "main", dispatch_id: str | None = ID) -> str | None:
    return forge.dispatch(
        REPOSITORY, "build.yml", ref=ref, inputs={"dispatch_id": dispatch_id or ""}, dispatch_id=dispatch_id
    )


def test_a_forge_that_says_the_run_is_asked_once_and_believed(scripted: ScriptedForge, forge: GiteaForge) -> None:
    scripted.answers[DISPATCHES] = [said({"workflow_run_id": 71, "run_url": "", "html_url": ""})]
    assert dispatch(forge) == "71"
    assert dispatch(forge) == "71"
    assert scripted.calls() == [
        PROJECT,
        "GET /version",
        *[f"{DISPATCHES}?return_run_details=true", PROJECT],
        f"{DISPATCHES}?return_run_details=true",
    ]
    assert json.loads(scripted.asked[2].body) == {"ref": "refs/heads/main", "inputs": {"dispatch_id": ID}}


def test_the_one_new_run_is_ours(old: ScriptedForge, forge: GiteaForge) -> None:
    old.answers[RUNS] = [runs(run(7)), runs(run(8), run(7))]
    assert dispatch(forge, dispatch_id=None) == "8"
    old.answers[RUNS] = [runs(), runs(run(8))]
    assert dispatch(forge) == "8"


@pytest.mark.parametrize(
    ("listed", "told"),
    [
        ([run(9), run(8), run(7)], None),
        ([run(9), run(8, title=f"image {ID}"), run(7)], "8"),
        ([run(9, title=f"image {ID}"), run(8, title=f"image {ID}"), run(7)], None),
        ([run(9, by="mona"), run(8), run(7)], "8"),
        ([run(9, path="other.yml@refs/heads/main"), run(8), run(7)], "8"),
        ([run(9, path="build.yml@refs/heads/next"), run(8), run(7)], "8"),
        ([run(9, path="build.yml@refs/tags/main"), run(8), run(7)], "8"),
        ([run(9, by="mona", title=f"image {ID}"), run(8), run(7)], "8"),
        ([run(7, title=f"image {ID}")], None),
        ([run(9, by="mona"), run(7)], None),
        ([], None),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_of_several_new_runs_only_a_proof_counts(
    old: ScriptedForge, forge: GiteaForge, listed: list[object], told: str | None
) -> None:
    old.answers[RUNS] = [runs(run(7)), runs(*listed)]
    assert dispatch(forge) == told


def test_runs_of_others_that_fill_pages_hide_none(old: ScriptedForge, forge: GiteaForge) -> None:
    others = [run(number, by="mona") for number in range(28, 8, -1)]

    def page(*listed: object) -> Reply:
        return said({"workflow_runs": list(listed), "total_count": 23})

    old.answers[RUNS] = [runs(run(7)), page(*others), page(run(8), run(7))]
    assert dispatch(forge) == "8"
    asked = [asked.path.partition("?")[2] for asked in old.asked if asked.path.endswith("limit=20")]
    assert asked == ["page=1&limit=20", "page=2&limit=20"]


def test_four_threads_take_turns_so_that_each_is_told_its_own_run(old: ScriptedForge) -> None:
    """The forge answers as one that several clients dispatch to: without turns, two would be new at a time."""
    made: list[object] = []

    def count(asked: Asked) -> None:
        if asked.method == "POST":
            made.insert(0, run(len(made) + 1))
        old.answers[RUNS] = [runs(*made)]

    old.before = count
    turns, told = KeyedLocks(), list[str | None]()
    forges = [GiteaForge(old.url, "f00d" * 10, turns=turns) for _ in range(4)]

    def one(forge: GiteaForge) -> None:
        told.append(dispatch(forge, dispatch_id=None))

    calls: list[Callable[[], None]] = [lambda forge=forge: one(forge) for forge in forges]  # type: ignore[misc]  # mypy infers no default
    at_once(calls)
    assert sorted(map(str, told)) == ["1", "2", "3", "4"]


def test_who_may_not_list_runs_dispatches_without_being_told_the_run(old: ScriptedForge, forge: GiteaForge) -> None:
    old.answers[RUNS] = [refused(403, "user should be the owner of the repo")]
    assert dispatch(forge) is None
    assert old.calls().count(f"{DISPATCHES}?return_run_details=true") == 1


def test_a_look_that_fails_afterwards_does_not_make_the_dispatch_fail(old: ScriptedForge, forge: GiteaForge) -> None:
    old.answers[RUNS] = [runs(run(7)), refused(500, "deadlock")]
    assert dispatch(forge) is None


def test_a_look_that_fails_before_fails_with_nothing_dispatched(old: ScriptedForge, forge: GiteaForge) -> None:
    old.answers[RUNS] = [refused(500, "deadlock")]
    with pytest.raises(ForgeUnavailable):
        dispatch(forge)
    assert not any("dispatches" in call for call in old.calls())


def test_a_forge_that_should_say_the_run_and_does_not_is_asked_for_the_title(
    scripted: ScriptedForge, forge: GiteaForge
) -> None:
    scripted.answers[DISPATCHES] = [TAKEN]
    scripted.answers[RUNS] = [runs(run(9), run(8, title=f"image {ID}"))]
    assert dispatch(forge) == "8"
    assert dispatch(forge, dispatch_id=None) is None
    scripted.answers[RUNS] = [runs(run(9))]  # the only one there is, and nothing says that it was not there before
    assert dispatch(forge) is None


def test_an_upgrade_is_noticed_in_the_answer(old: ScriptedForge, forge: GiteaForge) -> None:
    old.answers[RUNS] = [runs(run(7))]
    old.answers[DISPATCHES] = [said({"workflow_run_id": 8})]
    assert dispatch(forge) == "8"


@pytest.mark.parametrize(
    "lost", [Reply(hangs_up=True), refused(500, "timeout"), Reply(504, b"<html></html>"), said({"id": "?"})]
)
def test_a_dispatch_whose_answer_is_lost_is_never_sent_again(
    scripted: ScriptedForge, forge: GiteaForge, lost: Reply
) -> None:
    scripted.answers[DISPATCHES] = [lost, said({"workflow_run_id": 9})]
    scripted.answers[RUNS] = [runs(run(8))]
    with pytest.raises(ForgeOutcomeUnknown, match="may run nevertheless") as unsettled:
        dispatch(forge)
    assert "list_gitea_workflow_runs" in (unsettled.value.hint or "")
    assert scripted.calls().count(f"{DISPATCHES}?return_run_details=true") == 1


def test_a_dispatch_whose_answer_is_lost_is_found_by_its_title(scripted: ScriptedForge, forge: GiteaForge) -> None:
    scripted.answers[DISPATCHES] = [Reply(hangs_up=True)]
    scripted.answers[RUNS] = [runs(run(9), run(8, title=f"image {ID}"))]
    assert dispatch(forge) == "8"


def test_a_dispatch_that_was_certainly_not_taken_is_sent_again(scripted: ScriptedForge, forge: GiteaForge) -> None:
    busy = said({"message": "slow down"}, 429, Retry_After="0")
    scripted.answers[DISPATCHES] = [busy, busy, said({"workflow_run_id": 9})]
    assert dispatch(forge) == "9"


def test_a_short_ref_is_a_branch_or_else_a_tag_and_a_full_one_is_itself(
    scripted: ScriptedForge, forge: GiteaForge
) -> None:
    scripted.answers[DISPATCHES] = [refused(404, 'ref "refs/heads/v1" doesn\'t exist'), said({"workflow_run_id": 9})]
    assert dispatch(forge, ref="v1") == "9"
    sent = [json.loads(asked.body)["ref"] for asked in scripted.asked if asked.method == "POST"]
    assert sent == ["refs/heads/v1", "refs/tags/v1"]
    scripted.answers[DISPATCHES] = [refused(404, 'ref "refs/tags/v2" doesn\'t exist')]
    with pytest.raises(NotFound, match="no branch or tag refs/tags/v2"):
        dispatch(forge, ref="refs/tags/v2")
    assert json.loads(scripted.asked[-1].body)["ref"] == "refs/tags/v2"


@pytest.mark.parametrize(
    ("answer", "kind", "says"),
    [
        (refused(404, 'workflow "build.yml" doesn\'t exist'), NotFound, "no workflow build.yml"),
        (
            refused(422, 'workflow "build.yml" has no workflow_dispatch event trigger'),
            NotFound,
            "cannot be dispatched",
        ),
        (refused(422, "ref is required parameter"), ForgeRefused, "ref is required"),
        (refused(403, "workflow is disabled"), ForgeRefused, "workflow is disabled"),
    ],
)
def test_a_dispatch_that_is_refused_says_why(
    scripted: ScriptedForge, forge: GiteaForge, answer: Reply, kind: type[Exception], says: str
) -> None:
    scripted.answers[DISPATCHES] = [answer]
    with pytest.raises(kind, match=says):
        dispatch(forge)


@pytest.mark.parametrize(
    ("state", "kind", "says"),
    [
        ({"archived": True}, ForgeRefused, "archived"),
        ({"empty": True}, NotFound, "empty"),
        ({"has_actions": False}, ForgeRefused, "Actions are disabled for keeper/disk-images"),
    ],
)
def test_what_gitea_would_take_and_never_run_is_not_dispatched(
    scripted: ScriptedForge, forge: GiteaForge, state: dict[str, object], kind: type[Exception], says: str
) -> None:
    scripted.answers[PROJECT] = [repository(**state)]
    scripted.answers["POST /api/actions/ping.v1.PingService/Ping"] = [said({"data": "Hello, !"})]
    with pytest.raises(kind, match=says):
        dispatch(forge)
    assert not any("dispatches" in call for call in scripted.calls())


def test_a_turn_that_does_not_come_is_not_waited_for_without_end(old: ScriptedForge) -> None:
    turns = KeyedLocks(count=1)
    forge = GiteaForge(old.url, "f00d" * 10, turns=turns, limits=Limits(call_seconds=0.1))
    with turns.of("any"), pytest.raises(ForgeUnavailable, match="others were dispatched"):
        dispatch(forge)
