"""The template's scripts by themselves: what they refuse and how they say it, which tags they make, how they ring."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from bootpress.core.builds.rules import image_tag
from bootpress.core.references import parse_reference
from bootpress.core.webhooks.hmac_signature import verify
from tests.support import services
from tests.support.api import ApiServer, running_press
from tests.support.build_repository import COMMIT, Checkout
from tests.support.header_server import HeaderServer
from tests.support.ports import free_port

pytestmark = [pytest.mark.part("image-tools"), pytest.mark.part("oras"), pytest.mark.part("cosign3")]
NO_KEY = {"COSIGN_PRIVATE_KEY": "", "COSIGN_PASSWORD": ""}
HEX = "0123456789abcdef" * 4

REFUSED: dict[str, tuple[Mapping[str, str], str]] = {
    "no platform": (
        {"INPUT_PLATFORM_SLUG": ""},
        "no platform to build for: the input platform_slug and the variable POWERNODE_PLATFORM_SLUG are empty",
    ),
    "a platform that is a path": ({"INPUT_PLATFORM_SLUG": "../edge"}, "the platform '../edge' is no name"),
    "a platform with a quote": ({"INPUT_PLATFORM_SLUG": 'ed"ge'}, "the platform 'ed\"ge' is no name"),
    "no registry": (
        {"POWERNODE_OCI_REGISTRY": ""},
        "no registry to push to: the variable POWERNODE_OCI_REGISTRY is empty",
    ),
    "a registry with a path": (
        {"POWERNODE_OCI_REGISTRY": "registry.example.org/os"},
        "POWERNODE_OCI_REGISTRY is 'registry.example.org/os', no host of a registry",
    ),
    "neither key nor identity": (
        NO_KEY,
        "nothing to sign with: there is no secret COSIGN_PRIVATE_KEY, and this forge gives jobs no identity token",
    ),
    "a public key for a private one": (
        {"COSIGN_PRIVATE_KEY": "-----BEGIN PUBLIC KEY-----\n"},
        "the secret COSIGN_PRIVATE_KEY is no private key",
    ),
    "another key's password": ({"COSIGN_PASSWORD": "another"}, "cosign cannot read the signing key"),
    "no webhook": ({"POWERNODE_DISK_IMAGE_WEBHOOK_URL": ""}, "no webhook to ring"),
    "no webhook secret": ({"POWERNODE_DISK_IMAGE_WEBHOOK_SECRET": ""}, "no secret to sign the webhook with"),
    "a dispatch id that is none": ({"INPUT_DISPATCH_ID": 'd"1'}, "the input dispatch_id is no id"),
    "no commit": ({"GITHUB_SHA": ""}, "GITHUB_SHA is '', no commit"),
    "no job": ({"GITHUB_REPOSITORY": ""}, "GITHUB_REPOSITORY is empty: this does not run as a job of a forge"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_setting_that_would_fail_later_fails_at_once_and_by_name(checkout: Checkout, case: str) -> None:
    changes, message = REFUSED[case]
    done = checkout.run("scripts/check.sh", env=changes)
    assert done.returncode == 1
    assert f"error: {message}" in done.stderr


def test_all_programs_that_are_missing_are_named_before_anything_is_built(checkout: Checkout, tmp_path: Path) -> None:
    few = tmp_path / "bin"
    few.mkdir()
    for program in ("dirname", "git", "zstd"):
        (few / program).symlink_to(shutil.which(program) or "")
    done = checkout.run("scripts/check.sh", env={"PATH": str(few)})
    assert done.returncode == 1
    assert "error: this runner has no curl openssl oras cosign cpio dpkg-deb apt-get\n" in done.stderr


def test_with_everything_there_the_check_says_what_will_be_pushed_and_shows_no_secret(checkout: Checkout) -> None:
    done = checkout.run("scripts/check.sh", env={"GITHUB_REF_NAME": "feature/x y"})
    assert done.returncode == 0, done.stderr
    pushed = f"{checkout.env['POWERNODE_OCI_REGISTRY']}/acme/disk-images/edge:feature-x-y"
    assert f"pushing to {pushed}, signed with a key" in done.stdout
    assert "s3cret" not in done.stdout + done.stderr


def test_names_that_bootpress_sets_under_both_names_are_found_under_either(checkout: Checkout) -> None:
    moved = {
        "POWERNODE_DISK_IMAGE_WEBHOOK_URL": "",
        "POWERNODE_WEBHOOK_URL": "https://press.example.org/",
        "POWERNODE_DISK_IMAGE_WEBHOOK_SECRET": "",
        "POWERNODE_WEBHOOK_SECRET": "s3cret",
        "INPUT_PLATFORM_SLUG": "",
        "POWERNODE_PLATFORM_SLUG": "of-tags",
    }
    done = checkout.run("scripts/check.sh", env=moved)
    assert done.returncode == 0, done.stderr
    assert "platform of-tags, " in done.stdout


def test_a_forge_with_oidc_needs_no_key(checkout: Checkout) -> None:
    tokens = {"ACTIONS_ID_TOKEN_REQUEST_URL": "https://forge.example.org/", "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "t"}
    done = checkout.run("scripts/check.sh", env=NO_KEY | tokens)
    assert done.returncode == 0, done.stderr
    assert "signed with this job's identity" in done.stdout


def test_tags_are_valid_and_those_that_bootpress_expects(checkout: Checkout) -> None:
    names = ["main", "v1.0", "feature/x y", "-dash", ".dot", "..", "", "ü/Ä", "a" * 200, "x" * 127 + "/y", "a:b@c"]
    names += [f"sha256-{HEX}", f"sha256-{HEX}.sig", f"sha256-{HEX[1:]}", "release/2026-11", "--help", "$(id)", "`id`"]
    script = 'source scripts/common.sh; for GITHUB_REF_NAME in "$@"; do image_tag; echo; done'
    done = checkout.run("-c", script, "scripts/common.sh", *names)
    tags = done.stdout.splitlines()
    assert len(tags) == len(names), done.stderr
    for name, tag in zip(names, tags, strict=True):
        assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", tag), name
        assert parse_reference(f"registry.example.org/os/edge:{tag}", default_host="localhost").tag == tag
        assert tag == image_tag(name)
        assert not re.match(r"sha256-[0-9a-f]{64}", tag)
    assert tags[2] == "feature-x-y"


@pytest.fixture(scope="module")
def press(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with running_press(f"sqlite:///{tmp_path_factory.mktemp('press') / 'catalog.db'}") as running:
        yield running


def test_our_receiver_takes_the_announcement_and_every_claim_in_it(checkout: Checkout, press: ApiServer) -> None:
    checkout.fake_build()
    bell = press.provision("scripts")
    rung = {
        "POWERNODE_DISK_IMAGE_WEBHOOK_URL": press.url + bell.path,
        "POWERNODE_DISK_IMAGE_WEBHOOK_SECRET": bell.secret,
    }
    done = checkout.run("scripts/notify.sh", env=rung)
    assert done.returncode == 0, done.stderr
    assert '"status":"accepted"' in done.stdout.replace(" ", "")
    assert json.loads((checkout.folder / "build" / "announcement.json").read_text()) == {
        "platform_slug": "edge",
        "oci_ref": f"{checkout.env['POWERNODE_OCI_REGISTRY']}/acme/disk-images/edge:main",
        "oci_digest": f"sha256:{'d' * 64}",
        "git_sha": COMMIT,
        "arch": "amd64",
        "run_id": "7",
        "dispatch_id": "d1",
        "sbom_path": "build/sbom.spdx.json",
        "sbom_digest": "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
        "size_bytes": len("{}kernelinitramfs"),
    }


def test_what_was_not_given_is_left_out_of_the_announcement(checkout: Checkout) -> None:
    checkout.fake_build()
    with HeaderServer() as server:
        gone = {
            "INPUT_DISPATCH_ID": "",
            "GITHUB_RUN_ID": "",
            "POWERNODE_DISK_IMAGE_WEBHOOK_URL": server.url,
        }
        assert checkout.run("scripts/notify.sh", env=gone).returncode == 0
        [(_, body)] = server.seen
    assert not {"dispatch_id", "run_id"} & json.loads(body).keys()


@pytest.mark.parametrize("secret", ["a", "b" * 64, "c" * 65, "d" * 200, "ü$(id) 'q' \"Q\" \\n %s \\x41", "0" * 63])
def test_any_secret_gives_the_hmac_that_our_receiver_computes(checkout: Checkout, secret: str) -> None:
    checkout.fake_build()
    with HeaderServer() as server:
        rung = {"POWERNODE_DISK_IMAGE_WEBHOOK_URL": server.url, "POWERNODE_DISK_IMAGE_WEBHOOK_SECRET": secret}
        done = checkout.run("scripts/notify.sh", env=rung)
        [(headers, body)] = server.seen
    assert done.returncode == 0, done.stderr
    assert verify(body, headers["X-Hub-Signature-256"], [secret])
    assert headers["Content-Type"] == "application/json"


def test_a_bootpress_that_is_away_for_a_moment_is_rung_again(checkout: Checkout) -> None:
    checkout.fake_build()
    with HeaderServer(503, 429) as server:
        done = checkout.run("scripts/notify.sh", env={"POWERNODE_DISK_IMAGE_WEBHOOK_URL": server.url})
        assert done.returncode == 0, done.stderr
        assert len(server.seen) == 3


@pytest.mark.parametrize(("dispatch_id", "code"), [("d1", 0), ("", 1)])
@pytest.mark.parametrize("answers", [(503,), None])
def test_a_bootpress_that_stays_away_fails_only_runs_that_it_did_not_dispatch(
    checkout: Checkout, answers: tuple[int, ...] | None, dispatch_id: str, code: int
) -> None:
    """Of its own it sees that they ended well, and recovers the image: a run that failed, it takes at its word."""
    checkout.fake_build()
    script = checkout.folder / "scripts" / "notify.sh"
    text = script.read_text()
    assert "--retry 8 " in text
    script.write_text(text.replace("--retry 8 ", "--retry 0 "))  # as if the ten minutes were over
    with HeaderServer(*(answers or ())) as server:
        url = server.url if answers else f"http://127.0.0.1:{free_port()}/"
        rung = {"POWERNODE_DISK_IMAGE_WEBHOOK_URL": url, "INPUT_DISPATCH_ID": dispatch_id}
        done = checkout.run("scripts/notify.sh", env=rung)
    assert done.returncode == code, done.stderr
    assert ("bootpress could not be told" in done.stdout) == (code == 0)
    assert ("is it up" in done.stderr) == (code == 1)


def test_a_wrong_secret_fails_the_job_and_says_what_to_do(checkout: Checkout, press: ApiServer) -> None:
    checkout.fake_build()
    bell = press.provision("wrong secret")
    done = checkout.run("scripts/notify.sh", env={"POWERNODE_DISK_IMAGE_WEBHOOK_URL": press.url + bell.path})
    assert done.returncode == 1
    assert "error: bootpress did not take the announcement" in done.stderr
    assert "401: the secret differs from the webhook's" in done.stderr


@pytest.mark.parametrize("script", ["push", "sign", "notify"])
def test_a_step_without_the_one_before_it_says_so(checkout: Checkout, script: str) -> None:
    done = checkout.run(f"scripts/{script}.sh")
    assert done.returncode == 1
    assert re.search(r"error: nothing was (built|pushed) yet", done.stderr)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--arch", "s390x"], "unknown architecture 's390x'"),
        (["--variants", "kernel-floppy"], "unknown variant 'floppy'"),
        (["--variants", "kernel-oci"], "an image needs a kernel and an initrd"),
        (["--colour", "blue"], "unknown argument '--colour'"),
        (["--arch"], "unknown architecture ''"),
    ],
)
def test_the_build_refuses_words_that_it_cannot_follow(checkout: Checkout, words: list[str], message: str) -> None:
    done = checkout.run("build.sh", *words)
    assert done.returncode == 1
    assert f"error: {message}" in done.stderr


def test_the_build_refuses_a_command_line_that_would_break_its_config(checkout: Checkout) -> None:
    done = checkout.run("build.sh", env={"CMDLINE": 'console="ttyS0"'})
    assert done.returncode == 1
    assert "error: CMDLINE is" in done.stderr


def test_a_registry_that_does_not_answer_fails_the_push_and_is_named(checkout: Checkout, built: Checkout) -> None:
    shutil.copytree(built.folder / "build", checkout.folder / "build")
    login: dict[str, Any] = {"POWERNODE_REGISTRY_USER": "robot", "POWERNODE_REGISTRY_TOKEN": "s3cret-token"}
    login["POWERNODE_OCI_REGISTRY"] = f"127.0.0.1:{free_port()}"
    done = checkout.run("scripts/push.sh", env=login)
    assert done.returncode == 1
    assert f"error: could not log in to the registry {login['POWERNODE_OCI_REGISTRY']} as 'robot'" in done.stderr
    assert "s3cret-token" not in done.stdout + done.stderr


@pytest.mark.part("shellcheck")
def test_shellcheck_has_nothing_to_say(checkout: Checkout) -> None:
    scripts = [path.relative_to(checkout.folder) for path in checkout.folder.rglob("*.sh")]
    assert len(scripts) > 5
    words = [str(services.require("shellcheck")), "--external-sources", "--shell=bash", *map(str, scripts)]
    for checked in (words, [words[0], "initramfs/init"]):
        done = subprocess.run(checked, cwd=checkout.folder, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stdout
