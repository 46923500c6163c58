"""What real Gitea, 1.26 and 1.25, says on a bad day, and that our errors say what to do about it."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import httpx
import pytest

from bootpress.adapters.forges.gitea import GiteaForge
from bootpress.core.errors import ForgeRefused, NotFound
from bootpress.core.ports import GitRepository
from tests.support.conformance_forge import FILE, PATH, WORKFLOW
from tests.support.gitea import Gitea, running_gitea
from tests.support.stub_runner import StubRunner


@pytest.fixture(params=["126", "125"], scope="module")
def gitea(request: pytest.FixtureRequest, open_gitea: Callable[[str], Gitea]) -> Gitea:
    return open_gitea(request.param)


@pytest.fixture
def forge(gitea: Gitea) -> GiteaForge:
    return GiteaForge(gitea.url, gitea.token)


@pytest.fixture
def repository(gitea: Gitea, forge: GiteaForge) -> GitRepository:
    """Return a repository with the workflow in it."""
    made = GitRepository(gitea.user, f"images-{secrets.token_hex(4)}")
    forge.create_repository(made)
    forge.add_files(made, {PATH: WORKFLOW.encode()}, message="Begin")
    return made


@dataclass(frozen=True)
class Somebody:
    """Another user of a Gitea."""

    name: str
    forge: GiteaForge


@pytest.fixture
def mona(gitea: Gitea) -> Somebody:
    """Return somebody who is no administrator, with a token that may do all that its user may."""
    name, password = f"mona-{secrets.token_hex(4)}", secrets.token_urlsafe(12)
    user = {"username": name, "email": f"{name}@example.test", "password": password, "must_change_password": False}
    gitea.call("POST", "/admin/users", user)
    scopes = ["write:organization", "write:repository", "write:user"]
    answer = httpx.post(
        f"{gitea.url}/api/v1/users/{name}/tokens",
        json={"name": "all", "scopes": scopes},
        auth=(name, password),
        trust_env=False,
        timeout=30,
    )
    return Somebody(name, GiteaForge(gitea.url, answer.json()["sha1"]))


def lend(gitea: Gitea, repository: GitRepository, somebody: Somebody, permission: str) -> None:
    path = f"/repos/{repository}/collaborators/{somebody.name}"
    gitea.call("PUT", path, {"permission": permission})


def test_a_check_says_which_scopes_are_missing(gitea: Gitea, forge: GiteaForge) -> None:
    info = forge.check()
    assert info.version.startswith("1.2")
    assert (info.user, info.missing_scopes, info.actions_enabled) == (gitea.user, (), True)
    few = GiteaForge(gitea.url, gitea.create_token(f"few-{secrets.token_hex(4)}", "read:repository", "read:user"))
    assert few.check().missing_scopes == ("write:organization", "write:repository", "write:user")
    assert few.check(owner=gitea.user).missing_scopes == ("write:repository", "write:user")
    assert few.check(owner="acme").missing_scopes == ("write:organization", "write:repository")
    everything = GiteaForge(gitea.url, gitea.create_token(f"all-{secrets.token_hex(4)}", "all"))
    assert everything.check().missing_scopes == ("unknown",)


def test_a_wrong_token_is_refused(gitea: Gitea) -> None:
    with pytest.raises(ForgeRefused, match="does not accept our token"):
        GiteaForge(gitea.url, "0" * 40).check()


def test_a_url_below_gitea_is_no_gitea(gitea: Gitea) -> None:
    with pytest.raises(ForgeRefused, match="not Gitea's API") as other:
        GiteaForge(f"{gitea.url}/keeper", gitea.token).check()
    assert "base of Gitea's pages" in (other.value.hint or "")


def test_a_token_without_a_scope_is_told_which(gitea: Gitea, repository: GitRepository) -> None:
    name = secrets.token_hex(4)
    reads = GiteaForge(gitea.url, gitea.create_token(f"reads-{name}", "read:repository", "read:user"))
    calls: list[Callable[[], object]] = [
        lambda: reads.set_secret(repository, "A", "value"),
        lambda: reads.set_variable(repository, "A", "value"),
        lambda: reads.add_files(repository, {"a": b"1"}, message="Add"),
        lambda: reads.dispatch(repository, FILE, ref="main", inputs={}, dispatch_id=None),
        lambda: reads.registration_token(repository),
        lambda: reads.create_repository(GitRepository(gitea.user, f"other-{name}")),
    ]
    for call in calls:
        with pytest.raises(ForgeRefused, match="lacks the scope write:") as lacking:
            call()
        assert "write:" in (lacking.value.hint or "")
    nobody = GiteaForge(gitea.url, gitea.create_token(f"none-{name}", "read:package"))
    with pytest.raises(ForgeRefused, match="lacks the scope read:user"):
        nobody.check()
    with pytest.raises(ForgeRefused, match="lacks the scope read:repository"):
        nobody.find_repository(repository)


def test_a_repository_of_somebody_else_is_not_seen_and_not_created(
    gitea: Gitea, mona: Somebody, repository: GitRepository
) -> None:
    assert mona.forge.find_repository(repository) is None
    with pytest.raises(NotFound):
        mona.forge.set_secret(repository, "A", "value")
    with pytest.raises(ForgeRefused, match=f"{gitea.user} is another user") as other:
        mona.forge.create_repository(repository)
    assert mona.name in (other.value.hint or "")


def test_an_administrator_of_a_repository_who_is_not_its_owner_may_not_set_secrets(
    gitea: Gitea, mona: Somebody, repository: GitRepository
) -> None:
    lend(gitea, repository, mona, "admin")
    found = mona.forge.find_repository(repository)
    assert found is not None
    assert not found.may_administer
    with pytest.raises(ForgeRefused, match="owner of the repo") as not_owner:
        mona.forge.set_secret(repository, "A", "value")
    assert "owner" in (not_owner.value.hint or "")
    run_id = mona.forge.dispatch(repository, FILE, ref="main", inputs={}, dispatch_id=None)
    assert run_id is not None or gitea.call("GET", "/version")["version"].startswith("1.25")
    lend(gitea, repository, mona, "read")
    with pytest.raises(ForgeRefused, match="permission to write"):
        mona.forge.dispatch(repository, FILE, ref="main", inputs={}, dispatch_id=None)
    with pytest.raises(ForgeRefused, match="permission to write"):
        mona.forge.add_files(repository, {"a": b"1"}, message="Add")


def test_organisations_are_named_when_they_are_not_there_or_not_ours(
    gitea: Gitea, forge: GiteaForge, mona: Somebody
) -> None:
    name = f"acme-{secrets.token_hex(4)}"
    images = GitRepository(name, "images")
    with pytest.raises(ForgeRefused, match=f"no organisation {name}") as absent:
        forge.create_repository(images)
    assert "create it" in (absent.value.hint or "")
    gitea.call("POST", "/orgs", {"username": name})
    with pytest.raises(ForgeRefused, match="allowed to create repositor") as foreign:
        mona.forge.create_repository(images)
    assert "organisation" in (foreign.value.hint or "")
    created = forge.create_repository(images)
    assert (created.repository, created.may_administer) == (images, True)
    assert forge.find_repository(images) == created
    with pytest.raises(ForgeRefused):
        mona.forge.create_repository(images)


def test_a_name_that_gitea_does_not_take_is_refused_with_its_words(gitea: Gitea, forge: GiteaForge) -> None:
    with pytest.raises(ForgeRefused, match="name pattern is not allowed"):
        forge.create_repository(GitRepository(gitea.user, "images.wiki"))
    made = GitRepository(gitea.user, f"names-{secrets.token_hex(4)}")
    forge.create_repository(made)
    with pytest.raises(ForgeRefused, match="secret GITEA_TOKEN") as reserved:
        forge.set_secret(made, "GITEA_TOKEN", "value")
    assert "GITEA_" in (reserved.value.hint or "")


def test_a_ref_in_full_is_a_ref_too(gitea: Gitea, forge: GiteaForge, repository: GitRepository) -> None:
    gitea.call("POST", f"/repos/{repository}/tags", {"tag_name": "v1", "target": "main"})
    for ref in ("refs/heads/main", "refs/tags/v1"):
        assert forge.read_file(repository, PATH, ref=ref) == WORKFLOW.encode()
        run_id = forge.dispatch(repository, FILE, ref=ref, inputs={}, dispatch_id=None)
        found = forge.find_run(repository, run_id or "")
        assert found is not None
        assert found.ref == ref.rpartition("/")[2]


def test_a_renamed_repository_is_not_followed(gitea: Gitea, forge: GiteaForge, repository: GitRepository) -> None:
    gitea.call("PATCH", f"/repos/{repository}", {"name": f"{repository.name}-new"})
    calls: list[Callable[[], object]] = [
        lambda: forge.find_repository(repository),
        lambda: forge.set_secret(repository, "A", "value"),
        lambda: forge.list_runs(repository),
    ]
    for call in calls:
        with pytest.raises(ForgeRefused, match=f"is {repository}-new now"):
            call()


def test_a_disabled_workflow_and_an_archived_repository_are_not_dispatched(
    gitea: Gitea, forge: GiteaForge, repository: GitRepository
) -> None:
    gitea.call("PUT", f"/repos/{repository}/actions/workflows/{FILE}/disable")
    with pytest.raises(ForgeRefused, match="workflow is disabled") as disabled:
        forge.dispatch(repository, FILE, ref="main", inputs={}, dispatch_id=None)
    assert "Actions page" in (disabled.value.hint or "")
    gitea.call("PATCH", f"/repos/{repository}", {"archived": True})
    with pytest.raises(ForgeRefused, match="archived"):
        forge.dispatch(repository, FILE, ref="main", inputs={}, dispatch_id=None)
    with pytest.raises(ForgeRefused, match="add files"):
        forge.add_files(repository, {"a": b"1"}, message="Add")


def test_a_run_of_somebody_else_is_not_taken_for_ours(
    gitea: Gitea, forge: GiteaForge, mona: Somebody, repository: GitRepository
) -> None:
    """The other dispatches while we are between our looks, over and over, as 1.25 needs them."""
    lend(gitea, repository, mona, "admin")
    ours = [forge.dispatch(repository, FILE, ref="main", inputs={}, dispatch_id=None) for _ in range(2)]
    mona.forge.dispatch(repository, FILE, ref="main", inputs={}, dispatch_id=None)
    ours.append(forge.dispatch(repository, FILE, ref="main", inputs={}, dispatch_id=None))
    by = {
        str(run["id"]): run["trigger_actor"]["login"]
        for run in gitea.call("GET", f"/repos/{repository}/actions/runs?page=1")["workflow_runs"]
    }
    assert [by[run_id or ""] for run_id in ours] == [gitea.user] * 3


def test_a_log_is_read_while_its_job_runs(gitea: Gitea, forge: GiteaForge, repository: GitRepository) -> None:
    run_id = forge.dispatch(repository, FILE, ref="main", inputs={}, dispatch_id=None)
    assert run_id is not None
    runner = StubRunner(gitea.url, forge.registration_token(repository))
    task = runner.take()
    assert task is not None
    runner.say(task, ["the first line"])
    (job,) = forge.list_jobs(repository, run_id)
    assert (job.status, job.runner) == ("in_progress", "stub")
    with forge.open_log(repository, job.id) as log:
        assert b"the first line" in b"".join(log)
    (registered,) = forge.list_runners(repository)
    assert (registered.is_online, registered.is_busy) == (True, True)
    runner.say(task, [f"line {number}" for number in range(3000)], at=1, is_last=True)
    runner.end(task, "RESULT_FAILURE")
    with forge.open_log(repository, job.id) as log:
        assert b"".join(log).count(b"\n") == 3001
    found = forge.find_run(repository, run_id)
    assert found is not None
    assert (found.status, found.conclusion) == ("completed", "failure")


@pytest.fixture(scope="module")
def without_actions() -> Iterator[Gitea]:
    with running_gitea("126", actions=False) as gitea:
        yield gitea


def test_a_gitea_without_actions_says_so_and_where_to_enable_them(without_actions: Gitea) -> None:
    forge = GiteaForge(without_actions.url, without_actions.token)
    assert forge.check().actions_enabled is False
    made = GitRepository(without_actions.user, "images")
    calls: list[Callable[[], object]] = [
        lambda: forge.create_repository(made),
        lambda: forge.enable_actions(made),
        lambda: forge.dispatch(made, FILE, ref="main", inputs={}, dispatch_id=None),
    ]
    for call in calls:
        with pytest.raises(ForgeRefused, match="Actions are disabled on this Gitea") as disabled:
            call()
        assert "app.ini" in (disabled.value.hint or "")
