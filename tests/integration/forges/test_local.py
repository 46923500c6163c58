"""The embedded forge runs workflows, on its own; what every forge has to do is in test_conformance."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from bootpress.adapters.forges.embedded import ForgeLayout, RunLimits, RunScheduler, RunSchedulers, account_folder
from bootpress.adapters.forges.embedded.execution.job import Stopped
from bootpress.adapters.forges.embedded.execution.run_config import RunConfig, host_environment
from bootpress.adapters.forges.embedded.execution.runner import Runner, StopCheck
from bootpress.adapters.forges.embedded.execution.runs import MAX_WAITING, RunFolder
from bootpress.core.errors import ForgeRefused, ForgeUnavailable
from bootpress.core.ports import RunStatus
from tests.support import scheduler_process
from tests.support.embedded_forge import DISPATCHED, NO_DOCKER, REPOSITORY, EmbeddedForgeHarness, eventually, kept
from tests.support.processes import Program


def steps(*scripts: str, before: str = "") -> str:
    """Return a workflow of one job with these scripts."""
    listed = "".join("      - run: |\n" + "".join(f"          {line}\n" for line in s.splitlines()) for s in scripts)
    return f"{DISPATCHED}{before}jobs:\n  build:\n    runs-on: disk-image-builder\n    steps:\n{listed}"


@pytest.fixture
def embedded(tmp_path: Path) -> EmbeddedForgeHarness:
    return EmbeddedForgeHarness(tmp_path / "forge")


@pytest.fixture
def running(embedded: EmbeddedForgeHarness) -> Iterator[EmbeddedForgeHarness]:
    with kept(embedded):
        yield embedded


def test_a_dispatched_workflow_runs_in_a_checkout_of_its_commit(running: EmbeddedForgeHarness) -> None:
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


def test_four_dispatches_at_once_each_have_a_run_and_inputs_of_their_own(running: EmbeddedForgeHarness) -> None:
    running.add(
        steps('echo "slug=${{ inputs.slug }} id=$ID"', before="env: {ID: '${{ github.event.inputs.dispatch_id }}'}\n")
    )
    ids = {running.dispatch({"slug": f"s{n}", "dispatch_id": f"d{n}"}): n for n in range(4)}
    assert len(ids) == 4
    for run_id, n in ids.items():
        assert running.ended(run_id).conclusion == "success"
        assert f"slug=s{n} id=d{n}" in running.log(run_id)


def test_two_runs_are_run_at_once_and_a_third_waits(running: EmbeddedForgeHarness, tmp_path: Path) -> None:
    go = tmp_path / "go"
    running.add(steps(f"until test -e {go}; do sleep 0.05; done"))
    ids = [running.dispatch() for _ in range(3)]
    eventually(lambda: [running.run(each).status for each in ids[:2]] == [RunStatus.IN_PROGRESS] * 2, what="two run")
    assert running.forge.list_runners(REPOSITORY)[0].is_busy
    assert running.run(ids[2]).status is RunStatus.QUEUED
    go.touch()
    assert [running.ended(each).conclusion for each in ids] == ["success"] * 3


def test_a_step_that_fails_ends_the_job_but_for_steps_that_want_that(running: EmbeddedForgeHarness) -> None:
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


def test_secrets_reach_scripts_and_are_masked_in_logs_and_encrypted_on_disk(running: EmbeddedForgeHarness) -> None:
    secret, key = "correct horse battery", "-----BEGIN KEY-----\nAAAABBBB\n-----END KEY-----"
    running.add(
        steps(
            'test "$(rev <<< "$A")" = "yrettab esroh tcerroc"\necho "it is $A, key: ${{ secrets.key }}"',
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


def test_nothing_of_ours_is_in_the_environment_of_a_job(
    embedded: EmbeddedForgeHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
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
        ("container: {image: debian, options: --privileged}\n    steps: [{run: echo begun}]", "options"),
        ("services: {db: {image: x}}\n    steps: [{run: echo begun}]", "services"),
        ("needs: other\n    steps: [{run: echo begun}]", "other"),
        ("needs: build\n    steps: [{run: echo begun}]", "circle"),
        ("env: {GITHUB_SHA: x}\n    steps: [{run: echo begun}]", "GITHUB_SHA"),
        ("steps: []", "steps"),
    ],
)
def test_what_it_cannot_do_is_refused_by_name_before_anything_runs(
    embedded: EmbeddedForgeHarness, job: str, named: str
) -> None:
    embedded.add(f"{DISPATCHED}jobs:\n  build:\n    runs-on: x\n    {job}\n")
    run = embedded.run(embedded.dispatch())  # nobody keeps its runs: it has failed nevertheless
    assert (run.status, run.conclusion) == (RunStatus.COMPLETED, "failure")
    assert "nothing was run" in embedded.log(run.id)
    assert named in embedded.log(run.id)


def test_what_a_job_leaves_behind_is_ended_with_it(running: EmbeddedForgeHarness, tmp_path: Path) -> None:
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


def test_a_run_is_cancelled_while_it_waits_and_while_it_runs(running: EmbeddedForgeHarness, tmp_path: Path) -> None:
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


def test_a_pushed_tag_starts_what_wants_it_and_a_pushed_branch_does_not(
    running: EmbeddedForgeHarness, tmp_path: Path
) -> None:
    running.add("on: {push: {tags: ['v*']}}\njobs: {build: {runs-on: x, steps: [{run: git describe --tags}]}}\n")
    clone = running.clone(tmp_path / "clone")
    running.git("commit", "--quiet", "--allow-empty", "-m", "More", cwd=clone)
    running.git("tag", "-a", "-m", "First", "v1", cwd=clone)  # a tag with an id of its own
    running.git("tag", "other", cwd=clone)
    running.git("push", "--quiet", "origin", "main", "v1", "other", cwd=clone)
    run = eventually(lambda: running.forge.list_runs(REPOSITORY), what="a run")[0]
    assert (run.event, run.ref, run.head_sha) == ("push", "v1", running.git("rev-parse", "HEAD", cwd=clone).strip())
    assert running.ended(run.id).conclusion == "success"
    assert "\nv1" in running.log(run.id)
    running.git("push", "--quiet", "origin", ":v1", cwd=clone)
    eventually(lambda: not list(running.places.pushes.iterdir()), what="all pushes are looked at")
    assert len(running.forge.list_runs(REPOSITORY)) == 1


def test_a_push_that_nobody_looked_at_is_built_later_and_once(embedded: EmbeddedForgeHarness) -> None:
    embedded.add("on: push\njobs: {build: {runs-on: x, steps: [{run: echo built}]}}\n")
    (push,) = embedded.places.pushes.iterdir()
    content = push.read_bytes()
    with kept(embedded):
        run = eventually(lambda: embedded.forge.list_runs(REPOSITORY), what="a run")[0]
        assert embedded.ended(run.id).conclusion == "success"
        push.write_bytes(content)  # as if it had been killed before it forgot the push
        eventually(lambda: not push.exists(), what="it was looked at again")
        assert [run.event for run in embedded.forge.list_runs(REPOSITORY)] == ["push"]


def test_a_run_whose_process_was_killed_has_failed_and_says_so(running: EmbeddedForgeHarness, tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    running.add(steps(f"echo $PPID > {pids}.parent\nsetsid sleep 300 & echo $! > {pids}.child\nwait"))
    run_id = running.dispatch()
    child = eventually(
        lambda: Path(f"{pids}.child").exists() and Path(f"{pids}.child").read_text().strip(), what="at it"
    )
    os.kill(int(Path(f"{pids}.parent").read_text()), signal.SIGKILL)
    assert running.ended(run_id).conclusion == "failure"
    assert "has died" in running.log(run_id)
    assert running.jobs(run_id)["build"].conclusion == "failure"
    assert not is_alive(str(child))
    assert not (running.places.runs / run_id / "work").exists()


def test_after_a_restart_what_ran_has_failed_and_what_waited_is_run(
    embedded: EmbeddedForgeHarness, tmp_path: Path
) -> None:
    go, pid = tmp_path / "go", tmp_path / "pid"
    embedded.add(steps(f"echo $$ > {pid}\nuntil test -e {go}\ndo sleep 0.05\ndone"))
    with kept(embedded):
        ids = [embedded.dispatch() for _ in range(3)]
        eventually(lambda: pid.exists() and pid.read_text(), what="the first is at it")
        assert embedded.forge.list_runners(REPOSITORY)[0].is_online
    assert not is_alive(pid.read_text().strip())
    assert not embedded.forge.list_runners(REPOSITORY)[0].is_online
    assert embedded.run(ids[0]).conclusion == "failure"
    assert "has died" in embedded.log(ids[0])
    go.touch()
    again = EmbeddedForgeHarness(embedded.places.root, box=embedded.box)
    with kept(again):
        assert again.ended(ids[2]).conclusion == "success"


def test_a_run_whose_owner_died_before_its_first_job_says_so(embedded: EmbeddedForgeHarness) -> None:
    embedded.add(steps("echo never"))
    run_id = embedded.dispatch()
    folder = RunFolder(embedded.places.runs / run_id)
    listening, owner = os.pipe()
    os.close(owner)
    watch = StopCheck(folder, listening, seconds=60)
    eventually(lambda: is_over(watch), what="its owner's death is heard of")
    orders = RunConfig("file:///forge", {}, {}, cache=str(folder.path), host=host_environment(), docker=NO_DOCKER)
    Runner(folder, orders, watch).go()
    os.close(listening)
    assert embedded.run(run_id).conclusion == "failure"
    assert "has died" in embedded.log(run_id)
    assert "never" not in embedded.log(run_id)


def is_over(watch: StopCheck) -> bool:
    """Tell whether a run is to end."""
    try:
        watch.look()
    except Stopped:
        return True
    return False


def test_a_scheduler_that_was_killed_leaves_no_process_behind(embedded: EmbeddedForgeHarness, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    embedded.add(steps(f"echo $$ > {pid}\nsleep 300"))
    run_id = embedded.dispatch()
    with Program(
        scheduler_process.command(embedded.places.root, embedded.key), log=tmp_path / "scheduler.log"
    ) as scheduler:
        eventually(lambda: pid.exists() and pid.read_text(), what="it is at it")
        os.kill(scheduler.pid, signal.SIGKILL)
        eventually(lambda: not is_alive(pid.read_text().strip()), what="the script has ended")
        assert embedded.ended(run_id).conclusion == "failure"


def test_two_keepers_of_one_forge_run_each_run_once(embedded: EmbeddedForgeHarness) -> None:
    embedded.add(steps("echo once"))
    with kept(embedded), kept(EmbeddedForgeHarness(embedded.places.root, box=embedded.box)):
        ids = [embedded.dispatch() for _ in range(4)]
        for each in ids:
            assert embedded.ended(each).conclusion == "success"
            assert embedded.log(each).count("\nonce") == 1


def test_a_log_is_cut_at_its_bound_and_the_job_goes_on(embedded: EmbeddedForgeHarness) -> None:
    embedded.add(steps("head -c 30000000 <(yes 0123456789)", "head -c 300000 /dev/zero | tr '\\0' x"))
    with kept(embedded, bounds=RunLimits(log_bytes=1_000_000)):
        run = embedded.ended(embedded.dispatch())
    assert run.conclusion == "success"
    with embedded.forge.open_log(REPOSITORY, f"{run.id}-0") as pieces:
        log = b"".join(pieces)
    assert 990_000 < len(log) < 1_000_200
    assert log.endswith(b"the log is cut here, at 1,000,000 bytes\n")


def test_a_run_that_takes_too_long_is_ended(embedded: EmbeddedForgeHarness) -> None:
    embedded.add(steps("sleep 300"))
    with kept(embedded, bounds=RunLimits(run_seconds=1)):
        run = embedded.ended(embedded.dispatch())
    assert run.conclusion == "failure"
    assert "took longer than 1 s" in embedded.log(run.id)


def test_a_job_is_called_what_it_says_markup_and_all(running: EmbeddedForgeHarness) -> None:
    name = "<b onclick='x'>{{ 1 }}</b> ] [link](http://x) \\"
    running.add(steps("true").replace("runs-on", f"name: {json.dumps(name + ' ${{ inputs.slug }}')}\n    runs-on"))
    run = running.ended(running.dispatch({"slug": "<i>"}))
    assert list(running.jobs(run.id)) == [f"{name} <i>"]


def test_what_one_step_sets_the_next_one_has(running: EmbeddedForgeHarness) -> None:
    running.add(
        steps(
            'printf "A=1\\nB<<END\\ntwo\\nlines\\nEND\\n" >> "$GITHUB_ENV"\nmkdir bin\necho "echo mine" > bin/tool\n'
            'chmod +x bin/tool\necho "$PWD/bin" >> "$GITHUB_PATH"',
            'test "$A" = 1 -a "$B" = "two\nlines"\ntool\necho "again ${{ env.A }}"',
            'echo "no assignment" >> "$GITHUB_ENV"',
        )
    )
    run = running.ended(running.dispatch())
    assert "\nmine\nagain 1\n" in running.log(run.id)
    assert run.conclusion == "failure"
    assert "neither NAME=value nor NAME<<END" in running.log(run.id)


def test_a_dismissed_runner_lets_runs_wait_until_it_is_taken_back(running: EmbeddedForgeHarness) -> None:
    running.add(steps("true"))
    assert [runner.labels for runner in running.forge.list_runners(REPOSITORY)] == [("disk-image-builder",)]
    running.forge.delete_runner(REPOSITORY, "built-in")
    assert running.forge.list_runners(REPOSITORY) == []
    run_id = running.dispatch()
    time.sleep(0.6)
    assert running.run(run_id).status is RunStatus.QUEUED
    running.forge.registration_token(REPOSITORY)
    assert running.ended(run_id).conclusion == "success"


def test_a_secret_that_no_key_opens_fails_the_run_and_holds_up_no_other(embedded: EmbeddedForgeHarness) -> None:
    embedded.add(steps("echo begun"))
    embedded.forge.set_secret(REPOSITORY, "A", "sealed with a key that is gone")
    again = EmbeddedForgeHarness(embedded.places.root)
    first = again.dispatch()
    with kept(again):
        assert again.ended(first).conclusion == "failure"
        assert "cannot be decrypted" in again.log(first)
        again.forge.delete_secret(REPOSITORY, "A")
        assert again.ended(again.dispatch()).conclusion == "success"


def test_a_run_that_cannot_be_read_holds_up_no_other(running: EmbeddedForgeHarness) -> None:
    running.add(steps("echo begun"))
    first = running.ended(running.dispatch()).id
    (running.places.runs / first / "state.json").write_bytes(b"{")
    again = EmbeddedForgeHarness(running.places.root, box=running.box)
    second = again.dispatch()
    assert again.ended(second).conclusion == "success"
    assert [run.id for run in again.forge.list_runs(REPOSITORY)] == [second]
    with pytest.raises(ForgeUnavailable, match=f"run {first}"):
        again.forge.find_run(REPOSITORY, first)


def test_a_push_that_cannot_be_read_holds_up_neither_others_nor_runs(embedded: EmbeddedForgeHarness) -> None:
    embedded.add("on: [push, workflow_dispatch]\njobs: {build: {runs-on: x, steps: [{run: echo built}]}}\n")
    (embedded.places.pushes / "push-0").mkdir()
    dispatched = embedded.dispatch()
    with kept(embedded):
        assert embedded.ended(dispatched).conclusion == "success"
        eventually(lambda: len(embedded.forge.list_runs(REPOSITORY)) == 2, what="the run of the other push")


def test_half_a_character_in_a_workflow_is_refused_and_said_in_the_log_of_its_run(
    embedded: EmbeddedForgeHarness,
) -> None:
    embedded.add('on: push\njobs: {"\\ud800": {runs-on: x, steps: [{run: "true"}]}}\n')
    with pytest.raises(ForgeRefused, match="no character"):
        embedded.dispatch()
    with kept(embedded):
        run = eventually(lambda: embedded.forge.list_runs(REPOSITORY), what="a run")[0]
        assert embedded.ended(run.id).conclusion == "failure"
        assert "no character" in embedded.log(run.id)


def test_trouble_with_its_lock_does_not_end_a_keeper(embedded: EmbeddedForgeHarness) -> None:
    embedded.add(steps("true"))
    embedded.places.keeper.mkdir()  # what cannot be locked now
    with kept(embedded):
        run_id = embedded.dispatch()
        time.sleep(0.5)
        embedded.places.keeper.rmdir()
        assert embedded.ended(run_id).conclusion == "success"


def test_trouble_with_one_keeper_does_not_end_the_others(tmp_path: Path) -> None:
    account = account_folder(tmp_path, uuid4())
    embedded, tries = EmbeddedForgeHarness(account), iter([RuntimeError("can't start new thread")])
    embedded.add(steps("true"))

    def make(_: ForgeLayout) -> RunScheduler:
        for error in tries:
            raise error
        return embedded.keeper()

    with RunSchedulers(tmp_path, make):
        assert embedded.ended(embedded.dispatch()).conclusion == "success"


def test_more_than_a_hundred_runs_do_not_wait(embedded: EmbeddedForgeHarness) -> None:
    embedded.add(steps("true"))
    run_id = embedded.dispatch()
    for number in range(2, MAX_WAITING + 1):
        shutil.copytree(embedded.places.runs / run_id, embedded.places.runs / str(number))
    with pytest.raises(ForgeUnavailable, match="wait already"):
        embedded.dispatch()


def is_alive(pid: str) -> bool:
    """Tell whether a process runs; one that only waits to be noticed by its parent does not."""
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"
