"""Every account has an embedded forge of its own: nobody sees, runs or changes anything of another account's."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from cryptography.fernet import Fernet

from bootpress.adapters.forges.embedded import LocalForge, RunScheduler, RunSchedulers
from bootpress.adapters.forges.factory import ConnectionForgeFactory
from bootpress.core.connections.service import open_forge
from bootpress.core.context import Caller
from bootpress.core.encryption import SecretCipher
from bootpress.core.errors import ForgeRefused, InvalidInput, NotFound
from bootpress.core.ports import ForgeConnection, ForgeKind, RunStatus
from tests.support.core_harness import CoreHarness
from tests.support.embedded_forge import DISPATCHED, FILE, NO_DOCKER, REPOSITORY, eventually

REPO = str(REPOSITORY)
SAYS = """{dispatched}jobs:
  build:
    runs-on: disk-image-builder
    steps:
      - env: {{SECRET: "${{{{ secrets.SIGNING_KEY }}}}", URL: "${{{{ vars.WEBHOOK_URL }}}}"}}
        run: |
          echo "{account} has ${{#SECRET}} and $URL"
"""


def one_step(script: str) -> str:
    return f"{DISPATCHED}jobs:\n  build:\n    runs-on: disk-image-builder\n    steps: [{{run: '{script}'}}]\n"


def is_running(forge: LocalForge) -> bool:
    return forge.list_runs(REPOSITORY)[0].status is RunStatus.IN_PROGRESS


class TwoAccounts:
    """Two accounts on one installation, both with its embedded forge."""

    def __init__(self, world: CoreHarness, folder: Path) -> None:
        self.world = world
        self.box = SecretCipher(world.keys)
        self.folder = folder
        world.context = replace(world.context, forges=ConnectionForgeFactory(local_folder=folder, box=self.box))
        self.a, self.b = world.caller, world.new_caller("rival")
        for caller in (self.a, self.b):
            self.call("system_connect_forge", caller, kind="local")

    def call(self, name: str, caller: Caller, **fields: Any) -> dict[str, Any]:
        return self.world.call(name, caller, **fields)

    def forge(self, caller: Caller) -> LocalForge:
        _, forge = open_forge(self.world.context, caller.account_id)
        assert isinstance(forge, LocalForge)
        return forge

    def fill(self, caller: Caller, account: str) -> None:
        """Give an account a repository with a workflow, a secret and a variable."""
        forge = self.forge(caller)
        forge.create_repository(REPOSITORY)
        workflow = SAYS.format(dispatched=DISPATCHED, account=account)
        forge.add_files(REPOSITORY, {f".gitea/workflows/{FILE}": workflow.encode()}, message="Begin")
        forge.set_secret(REPOSITORY, "SIGNING_KEY", f"secret of {account}")
        forge.set_variable(REPOSITORY, "WEBHOOK_URL", f"https://{account}.example")

    def built(self, caller: Caller) -> tuple[str, str]:
        """Dispatch the workflow and wait for its end; return the run's and its job's id."""
        run_id = self.call("dispatch_gitea_workflow", caller, repo=REPO, workflow=FILE, inputs={})["run_id"]
        show = partial(self.call, "get_gitea_workflow_run", caller, repo=REPO, run_id=run_id)
        eventually(lambda: show()["run"]["status"] == "completed", what=f"the end of {run_id}")
        return run_id, show()["jobs"][0]["id"]

    def log(self, caller: Caller, job_id: str) -> str:
        return str(self.call("get_gitea_job_logs", caller, repo=REPO, job_id=job_id)["logs"])

    def keepers(self) -> RunSchedulers:
        return RunSchedulers(self.folder, partial(RunScheduler, box=self.box, docker=NO_DOCKER))


@pytest.fixture
def world(tmp_path: Path) -> Iterator[CoreHarness]:
    world = CoreHarness(f"sqlite:///{tmp_path / 'catalog.db'}")
    yield world
    world.catalog.close()


@pytest.fixture
def tenants(world: CoreHarness, tmp_path: Path) -> Iterator[TwoAccounts]:
    tenants = TwoAccounts(world, tmp_path / "forge")
    with tenants.keepers():
        yield tenants


def test_an_account_sees_nothing_of_another_ones_forge(tenants: TwoAccounts) -> None:
    tenants.fill(tenants.a, "acme")
    run_id, job_id = tenants.built(tenants.a)
    rival = tenants.forge(tenants.b)

    assert rival.find_repository(REPOSITORY) is None
    assert rival.find_run(REPOSITORY, run_id) is None
    asked: list[Callable[[], object]] = [
        lambda: rival.list_runs(REPOSITORY),
        lambda: rival.list_jobs(REPOSITORY, run_id),
        lambda: rival.open_log(REPOSITORY, job_id).__enter__(),
        lambda: rival.list_secrets(REPOSITORY),
        lambda: rival.list_variables(REPOSITORY),
        lambda: rival.list_runners(REPOSITORY),
        lambda: rival.registration_token(REPOSITORY),
        lambda: rival.read_file(REPOSITORY, f".gitea/workflows/{FILE}"),
        lambda: rival.set_secret(REPOSITORY, "SIGNING_KEY", "theirs"),
        lambda: rival.delete_secret(REPOSITORY, "SIGNING_KEY"),
        lambda: rival.cancel_run(REPOSITORY, run_id),
        lambda: rival.delete_runner(REPOSITORY, "built-in"),
    ]
    for ask in asked:
        with pytest.raises(NotFound, match=REPO):
            ask()
    assert tenants.forge(tenants.a).list_secrets(REPOSITORY) == ["SIGNING_KEY"]
    assert len(tenants.forge(tenants.a).list_runners(REPOSITORY)) == 1


def test_no_operation_shows_or_touches_another_accounts_forge(tenants: TwoAccounts) -> None:
    tenants.fill(tenants.a, "acme")
    run_id, job_id = tenants.built(tenants.a)
    asked: dict[str, dict[str, Any]] = {
        "list_gitea_workflow_runs": {"repo": REPO},
        "get_gitea_workflow_run": {"repo": REPO, "run_id": run_id},
        "get_gitea_job_logs": {"repo": REPO, "job_id": job_id},
        "cancel_gitea_workflow_run": {"repo": REPO, "run_id": run_id},
        "dispatch_gitea_workflow": {"repo": REPO, "workflow": FILE, "inputs": {}},
    }
    for name, fields in asked.items():
        with pytest.raises(NotFound):
            tenants.call(name, tenants.b, **fields)
    with pytest.raises(InvalidInput) as caught:  # among the runs that it dispatched or listed itself, there are none
        tenants.call("get_gitea_job_logs", tenants.b, job_id=job_id)
    assert caught.value.field == "repo"
    assert tenants.call("system_list_disk_image_builds", tenants.b)["builds"] == []
    assert tenants.call("system_list_ci_workers", tenants.b)["workers"] == []


def test_two_accounts_have_the_same_repository_each_with_its_own_secrets_and_runs(tenants: TwoAccounts) -> None:
    tenants.fill(tenants.a, "acme")
    tenants.fill(tenants.b, "rival-of-acme")
    ours, theirs = tenants.built(tenants.a), tenants.built(tenants.b)
    assert ours == theirs  # ids count within a forge, so that they give nothing away

    assert f"acme has {len('secret of acme')} and https://acme.example" in tenants.log(tenants.a, ours[1])
    said = f"rival-of-acme has {len('secret of rival-of-acme')} and https://rival-of-acme.example"
    assert said in tenants.log(tenants.b, theirs[1])
    assert said not in tenants.log(tenants.a, ours[1])
    assert said in tenants.call("get_gitea_job_logs", tenants.b, job_id=theirs[1])["logs"]
    for caller in (tenants.a, tenants.b):
        assert len(tenants.call("list_gitea_workflow_runs", caller, repo=REPO)["runs"]) == 1


def test_the_url_of_another_account_is_refused_and_its_own_is_taken(tenants: TwoAccounts) -> None:
    url = tenants.call("system_list_connections", tenants.a)["connections"][0]["url"]
    assert url.endswith(f"/forge/{tenants.a.account_id}")
    elsewhere = [url, f"{url}/../{tenants.b.account_id}/../{tenants.a.account_id}", tenants.folder.as_uri()]
    for other in elsewhere:
        with pytest.raises(InvalidInput) as caught:
            tenants.call("system_connect_forge", tenants.b, kind="local", url=other)
        assert caught.value.field == "url"
        assert str(tenants.a.account_id) not in str(caught.value.hint)
    own = f"{tenants.folder.as_uri()}/{tenants.b.account_id}"
    assert tenants.call("system_connect_forge", tenants.b, kind="local", url=f"{own}/")["connection"]["url"] == own


def test_what_was_written_into_a_connection_leads_to_no_other_account(tenants: TwoAccounts) -> None:
    tenants.fill(tenants.a, "acme")
    forges = tenants.world.context.forges
    planted = ForgeConnection("default", ForgeKind.LOCAL, forges.local_url(tenants.a.account_id))
    tenants.world.connections.save_forge(tenants.b.account_id, planted)
    assert tenants.forge(tenants.b).find_repository(REPOSITORY) is None
    shown = tenants.call("system_list_connections", tenants.b)["connections"]
    assert [one["url"] for one in shown] == [forges.local_url(tenants.b.account_id)]


@pytest.mark.parametrize("ending", ["", "/", "/acme", "/..", "/{id}/acme", "/../{id}", "/{ID}", "/{{{id}}}"])
def test_only_the_folder_of_an_account_is_opened(tmp_path: Path, ending: str) -> None:
    forges = ConnectionForgeFactory(local_folder=tmp_path / "forge", box=SecretCipher([Fernet.generate_key().decode()]))
    account_id = uuid4()
    url = (tmp_path / "forge").as_uri() + ending.format(id=account_id, ID=str(account_id).upper())
    with pytest.raises(ForgeRefused, match="no embedded forge of this installation"):
        forges.open(ForgeConnection("default", ForgeKind.LOCAL, url))


def test_runs_of_one_account_hold_up_none_of_another(tenants: TwoAccounts, tmp_path: Path) -> None:
    go = tmp_path / "go"
    waits = one_step(f"until test -e {go}; do sleep 0.1; done")
    forge = tenants.forge(tenants.a)
    forge.create_repository(REPOSITORY)
    forge.add_files(REPOSITORY, {f".gitea/workflows/{FILE}": waits.encode()}, message="Begin")
    ids = [forge.dispatch(REPOSITORY, FILE, ref="main", inputs={}, dispatch_id=None) for _ in range(3)]

    def states() -> list[RunStatus]:
        found = [forge.find_run(REPOSITORY, str(run_id)) for run_id in ids]
        return [run.status for run in found if run is not None]

    eventually(lambda: states().count(RunStatus.IN_PROGRESS) == 2, what="as many run as may")
    tenants.fill(tenants.b, "rival")
    tenants.built(tenants.b)
    assert states() == [RunStatus.IN_PROGRESS, RunStatus.IN_PROGRESS, RunStatus.QUEUED]
    go.touch()
    eventually(lambda: states() == [RunStatus.COMPLETED] * 3, what="all have ended")


def test_leaving_ends_the_runs_of_every_account_at_once(world: CoreHarness, tmp_path: Path) -> None:
    tenants = TwoAccounts(world, tmp_path / "forge")
    endless = one_step("sleep 300")
    for caller in (tenants.a, tenants.b):
        forge = tenants.forge(caller)
        forge.create_repository(REPOSITORY)
        forge.add_files(REPOSITORY, {f".gitea/workflows/{FILE}": endless.encode()}, message="Begin")
        forge.dispatch(REPOSITORY, FILE, ref="main", inputs={}, dispatch_id=None)
    runs = [tenants.forge(caller) for caller in (tenants.a, tenants.b)]
    with tenants.keepers():
        for forge in runs:
            eventually(partial(is_running, forge), what="it runs")
    assert {forge.list_runs(REPOSITORY)[0].conclusion for forge in runs} == {"failure"}
