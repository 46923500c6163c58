"""Builds: what they may become, when the forge is asked, which tag is theirs, and whose callback a delivery is."""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bootpress.core.builds import rules
from bootpress.core.builds.rules import DISPATCH_ID, REVISION, CallbackMatch
from bootpress.core.deliveries.payload import DeliveryPayload
from bootpress.core.references import parse_reference

NOW = datetime(2025, 6, 1, 12, tzinfo=UTC)
COMMON = Path(__file__).resolve().parents[3] / "deployments" / "build-repo" / "scripts" / "common.sh"
SHA, OTHER_SHA = "a" * 40, "b" * 40


def expected(name: str, **fields: Any) -> CallbackMatch:
    given = {"run_id": None, "platforms": frozenset({"edge"}), "head_sha": None, "ref": "main", **fields}
    return CallbackMatch(dispatch_id=name, **given)


def announced(**fields: Any) -> DeliveryPayload:
    return DeliveryPayload.model_validate({"platform_slug": "edge", "oci_ref": "r.example/os/images:main", **fields})


def matched(said: DeliveryPayload, *waiting: CallbackMatch) -> str | None:
    found = rules.match(said, waiting)
    return found.dispatch_id if found else None


def test_the_dispatch_id_tells_a_build_from_all_others() -> None:
    one, two = expected("one", run_id="7", head_sha=SHA), expected("two", run_id="8", head_sha=SHA)
    assert matched(announced(dispatch_id="two", run_id="7", git_sha=SHA), one, two) == "two"


def test_a_dispatch_id_that_nobody_waits_for_belongs_to_no_other_build() -> None:
    assert matched(announced(dispatch_id="old", run_id="7", git_sha=SHA), expected("one", run_id="7")) is None


def test_the_run_tells_builds_of_one_commit_apart() -> None:
    one, two = expected("one", run_id="7", head_sha=SHA), expected("two", run_id="8", head_sha=SHA)
    assert matched(announced(run_id=8, git_sha=SHA), one, two) == "two"


def test_a_run_of_another_platform_is_another_forges_run() -> None:
    one = expected("one", run_id="7", platforms=frozenset({"core"}), head_sha=SHA)
    assert matched(announced(run_id="7", git_sha=SHA), one) is None


def test_a_run_that_two_builds_have_is_not_guessed() -> None:
    assert matched(announced(run_id="7"), expected("one", run_id="7"), expected("two", run_id="7")) is None


def test_a_run_that_nobody_has_is_not_a_build_whose_run_is_known() -> None:
    assert matched(announced(run_id="9", git_sha=SHA), expected("one", run_id="7", head_sha=SHA)) is None


def test_a_build_whose_run_is_not_known_is_found_by_its_commit() -> None:
    one, two = expected("one", run_id="7", head_sha=SHA), expected("two", head_sha=SHA)
    assert matched(announced(run_id="9", git_sha=SHA), one, two) == "two"


def test_platform_and_commit_find_the_oldest_build() -> None:
    one, two = expected("one", head_sha=SHA.upper()), expected("two", head_sha=SHA)
    assert matched(announced(git_sha=SHA), one, two) == "one"
    assert matched(announced(git_sha=OTHER_SHA), one, two) is None
    assert matched(announced(git_sha=SHA, platform_slug="core"), one, two) is None


def test_of_one_commits_builds_the_tag_tells_which() -> None:
    main, v1 = expected("main", head_sha=SHA), expected("v1", head_sha=SHA, ref="v1")
    assert matched(announced(git_sha=SHA, oci_ref="r.example/os/images:v1"), main, v1) == "v1"
    assert matched(announced(git_sha=SHA, oci_ref="r.example/os/images:nightly"), main, v1) == "main"


def test_a_ref_that_was_given_in_full_has_the_tag_of_its_name() -> None:
    assert [rules.image_tag(ref) for ref in ("refs/heads/main", "refs/tags/v1", "refs/x")] == ["main", "v1", "refs-x"]


def test_a_body_that_names_neither_run_nor_commit_finds_the_only_build_of_its_platform_and_tag() -> None:
    """The tutorial's workflow sends a platform and a reference, and nothing else."""
    main, other = expected("main", run_id="7", head_sha=SHA), expected("v1", ref="v1")
    assert matched(announced(), main, other) == "main"
    assert matched(announced(), main, expected("again")) is None
    assert matched(announced(oci_ref="r.example/os/images:v2"), main, other) is None
    assert matched(announced(oci_ref="r.example/os/images@sha256:" + "0" * 64), main, other) is None


def test_a_build_without_a_platform_is_found_by_its_ids_alone() -> None:
    lone = expected("lone", run_id="7", platforms=frozenset(), head_sha=SHA)
    assert matched(announced(run_id="7"), lone) == "lone"
    assert matched(announced(dispatch_id="lone"), lone) == "lone"
    assert matched(announced(git_sha=SHA), lone) is None
    assert matched(announced(), lone) is None


REFS = {
    "v1.2": "v1.2",
    "feature/x+y": "feature-x-y",
    "-x": "_-x",
    ".x": "_.x",
    "": "_",
    "späť": "sp----",
    "sha256-" + "a" * 64: "_sha256-" + "a" * 64,
    "x" * 300: "x" * 128,
    "../..": "_..-..",
}


@pytest.mark.parametrize("ref", REFS)
def test_a_ref_name_becomes_a_valid_tag_as_the_template_makes_it(ref: str) -> None:
    assert rules.image_tag(ref) == REFS[ref]
    assert parse_reference(f"r.example/os/images:{REFS[ref]}").tag == REFS[ref]
    shell = f"source {COMMON} && image_tag"
    environment = {"PATH": os.defpath, "GITHUB_REF_NAME": ref}
    said = subprocess.run(["bash", "-c", shell], env=environment, check=True, capture_output=True)  # noqa: S607 - as CI does
    assert said.stdout.decode() == REFS[ref]


def test_an_image_is_a_builds_by_its_dispatch_id_and_only_without_one_by_its_commit() -> None:
    assert rules.is_built_by({DISPATCH_ID: "one", REVISION: OTHER_SHA}, dispatch_id="one", head_sha=SHA)
    assert not rules.is_built_by({DISPATCH_ID: "two", REVISION: SHA}, dispatch_id="one", head_sha=SHA)
    assert rules.is_built_by({REVISION: SHA.upper()}, dispatch_id="one", head_sha=SHA)
    assert not rules.is_built_by({REVISION: SHA}, dispatch_id="one", head_sha=None)
    assert not rules.is_built_by({}, dispatch_id="one", head_sha=None)
    assert not rules.is_built_by({REVISION: ""}, dispatch_id="one", head_sha="")


def asked_at(*, minutes: float, after_look: float | None, **fields: Any) -> bool:
    now = NOW + timedelta(minutes=minutes)
    last_polled_at = now - timedelta(minutes=after_look) if after_look is not None else None
    given = {"run_ended_at": None, "deadline_at": NOW + timedelta(hours=2), **fields}
    return rules.should_poll_forge(created_at=NOW, last_polled_at=last_polled_at, now=now, **given)


def test_the_forge_is_asked_at_once_then_every_minute_then_ever_more_rarely() -> None:
    assert asked_at(minutes=0, after_look=None)
    assert asked_at(minutes=2, after_look=0.9)
    assert not asked_at(minutes=2, after_look=0.5)
    assert not asked_at(minutes=40, after_look=3)
    assert asked_at(minutes=40, after_look=4)
    assert asked_at(minutes=100, after_look=5)


def test_the_forge_is_asked_at_the_deadline_and_once_a_run_has_ended() -> None:
    assert asked_at(minutes=121, after_look=0.1)
    assert asked_at(minutes=100, after_look=0.1, run_ended_at=NOW)
    assert asked_at(minutes=100, after_look=-30)  # the clock was set back


def test_a_deadline_is_the_platforms_or_two_hours_away() -> None:
    assert rules.deadline(NOW, 5) == NOW + timedelta(minutes=5)
    assert rules.deadline(NOW, None) == NOW + timedelta(minutes=120)
