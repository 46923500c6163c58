"""The embedded forge runs workflows, on its own; what every forge has to do is in test_conformance."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bootpress.core.ports import RunStatus
from tests.support.local_forge import REPOSITORY, Embedded, eventually, kept

DISPATCHED = "on: {workflow_dispatch: {inputs: {slug: {default: none}, dispatch_id: {type: string}}}}\n"


def steps(*scripts: str, before: str = "") -> str:
    """Return a workflow of one job with these scripts."""
    listed = "".join("      - run: |\n" + "".join(f"          {line}\n" for line in s.splitlines()) for s in scripts)
    return f"{DISPATCHED}{before}jobs:\n  build:\n    runs-on: disk-image-builder\n    steps:\n{listed}"


@pytest.fixture
def embedded(tmp_path: Path) -> Embedded:
    return Embedded(tmp_path / "forge")


@pytest.fixture
def running(embedded: Embedded) -> Iterator[Embedded]:
    with kept(embedded):
        yield embedded


def test_a_dispatched_workflow_runs_in_a_checkout_of_its_commit(running: Embedded) -> None:
    running.add(
        steps("cat hello.txt\ngit rev-parse HEAD", 'echo "on $GITHUB_REF_NAME of $GITHUB_REPOSITORY"'),
        {"hello.txt": b"hello\n"},
    )
    run = running.ended(running.dispatch())
    assert (run.conclusion, run.event, run.ref, run.workflow) == ("success", "workflow_dispatch", "main", "build.yml")
    log = running.log(run.id)
    assert "\nhello\n" in log
    assert f"\n{run.head_sha}\n" in log
    assert "on main of keeper/disk-images" in log
    assert not list(running.places.runs.glob("*/work"))


def test_four_dispatches_at_once_each_have_a_run_and_inputs_of_their_own(running: Embedded) -> None:
    running.add(
        steps('echo "slug=${{ inputs.slug }} id=$ID"', before="env: {ID: '${{ github.event.inputs.dispatch_id }}'}\n")
    )
    ids = {running.dispatch({"slug": f"s{n}", "dispatch_id": f"d{n}"}): n for n in range(4)}
    assert len(ids) == 4
    for run_id, n in ids.items():
        assert running.ended(run_id).conclusion == "success"
        assert f"slug=s{n} id=d{n}" in running.log(run_id)


def test_two_runs_are_run_at_once_and_a_third_waits(running: Embedded, tmp_path: Path) -> None:
    go = tmp_path / "go"
    running.add(steps(f"until test -e {go}; do sleep 0.05; done"))
    ids = [running.dispatch() for _ in range(3)]
    eventually(lambda: [running.run(each).status for each in ids[:2]] == [RunStatus.IN_PROGRESS] * 2, what="two run")
    assert running.forge.list_runners(REPOSITORY)[0].is_busy
    assert running.run(ids[2]).status is RunStatus.QUEUED
    go.touch()
    assert [running.ended(each).conclusion for each in ids] == ["success"] * 3


def test_a_step_that_fails_ends_the_job_but_for_steps_that_want_that(running: Embedded) -> None:
    running.add(
        f"""{DISPATCHED}
jobs:
  build:
    runs-on: [self-hosted, builder]
    steps:
      - run: false | true
      - run: echo not this
      - {{if: failure(), run: echo but this}}
      - {{if: "${{{{ always() }}}}", run: echo and this}}
  after: {{runs-on: x, needs: build, steps: [{{run: echo after}}]}}
  tidy: {{runs-on: x, needs: [build], if: always(), steps: [{{run: echo tidied}}]}}
"""
    )
    run = running.ended(running.dispatch())
    assert run.conclusion == "failure"
    assert {name: job.conclusion for name, job in running.jobs(run.id).items()} == {
        "build": "failure",
        "after": "skipped",
        "tidy": "success",
    }
    log = running.log(run.id)
    assert "\nnot this" not in log
    assert "\nbut this" in log
    assert "\nand this" in log
    assert "this step failed: exit code 1" in log


def test_secrets_reach_scripts_and_are_masked_in_logs_and_encrypted_on_disk(running: Embedded) -> None:
    secret, key = "correct horse battery", "-----BEGIN KEY-----\nAAAABBBB\n-----END KEY-----"
    running.add(
        steps(
            'test "$A" = "correct horse battery"\necho "it is $A, key: ${{ secrets.key }}"',
            'printf "correct horse"\nsleep 0.3\necho " battery"',
            'echo "::add-mask::$(echo l33t | rev)"',
            "rev <<< l33ter",
            before="env: {A: '${{ secrets.A }}'}\n",
        )
    )
    running.forge.set_secret(REPOSITORY, "A", secret)
    running.forge.set_secret(REPOSITORY, "KEY", key)
    run = running.ended(running.dispatch())
    log = running.log(run.id)
    assert run.conclusion == "success"
    assert "it is ***, key: ***" in log
    assert "re***" in log
    for hidden in ("battery", "AAAABBBB", "t33l"):
        assert hidden not in log
    found = [
        path for path in running.places.state.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()
    ]
    assert found == []


def test_nothing_of_ours_is_in_the_environment_of_a_job(embedded: Embedded, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("BOOTPRESS_ENCRYPTION_KEY", "PREFECT_API_AUTH_STRING", "POWERNODE_PUBLIC_URL", "VIRTUAL_ENV"):
        monkeypatch.setenv(name, "of bootpress")
    embedded.add(steps("env | sort", "cat /proc/$PPID/environ | tr '\\0' '\\n'"))
    with kept(embedded):
        run = embedded.ended(embedded.dispatch())
    log = embedded.log(run.id)
    assert run.conclusion == "success"
    assert "GITHUB_ACTIONS=true" in log
    assert "of bootpress" not in log


@pytest.mark.parametrize(
    ("job", "named"),
    [
        ("steps: [{run: echo begun}, {uses: actions/checkout@v4}]", "actions/checkout@v4"),
        ("steps: [{run: echo begun}, {run: 'echo ${{ hashFiles(1) }}'}]", "hashFiles(1)"),
        ("steps: [{run: echo begun}, {run: 'echo ${{ inputs.slug || 1 }}'}]", "inputs.slug || 1"),
        ("steps: [{run: echo begun, with: {a: b}}]", "with"),
        ("steps: [{run: echo begun, shell: pwsh}]", "pwsh"),
        ("steps: [{run: echo begun, if: github.ref == 'x'}]", "github.ref == 'x'"),
        ("strategy: {matrix: {a: [1]}}\n    steps: [{run: echo begun}]", "strategy"),
        ("container: {image: debian}\n    steps: [{run: echo begun}]", "container"),
        ("needs: other\n    steps: [{run: echo begun}]", "other"),
        ("needs: build\n    steps: [{run: echo begun}]", "circle"),
        ("env: {GITHUB_SHA: x}\n    steps: [{run: echo begun}]", "GITHUB_SHA"),
        ("steps: []", "steps"),
    ],
)
def test_what_it_cannot_do_is_refused_by_name_before_anything_runs(embedded: Embedded, job: str, named: str) -> None:
    embedded.add(f"{DISPATCHED}jobs:\n  build:\n    runs-on: x\n    {job}\n")
    run = embedded.run(embedded.dispatch())  # nobody keeps its runs: it has failed nevertheless
    assert (run.status, run.conclusion) == (RunStatus.COMPLETED, "failure")
    assert "nothing was run" in embedded.log(run.id)
    assert named in embedded.log(run.id)


def test_what_a_job_leaves_behind_is_ended_with_it(running: Embedded, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    running.add(
        steps(
            f"sleep 300 & echo $! >> {pids}",
            f"setsid nohup sleep 300 > /dev/null 2>&1 < /dev/null & echo $! >> {pids}",
            f"while read pid; do kill -0 $pid; done < {pids}",
        )
    )
    assert running.ended(running.dispatch()).conclusion == "success"
    for pid in pids.read_text().split():
        assert not is_alive(pid)


def test_a_run_is_cancelled_while_it_waits_and_while_it_runs(running: Embedded, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    running.add(steps(f"trap 'echo told' TERM\nsleep 300 & echo $! >> {pids}\nwait\nwait\necho not this"))
    ids = [running.dispatch() for _ in range(3)]
    eventually(lambda: pids.exists() and len(pids.read_text().split()) == 2, what="both are at it")
    running.forge.cancel_run(REPOSITORY, ids[2])
    assert running.run(ids[2]).conclusion == "cancelled"
    for each in ids[:2]:
        running.forge.cancel_run(REPOSITORY, each)
    for each in ids[:2]:
        assert running.ended(each).conclusion == "cancelled"
        assert "cancelled" in running.log(each)
    assert not any(is_alive(pid) for pid in pids.read_text().split())


def is_alive(pid: str) -> bool:
    """Tell whether a process runs; one that only waits to be noticed by its parent does not."""
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"
