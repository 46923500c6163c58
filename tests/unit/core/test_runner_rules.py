"""Labels that a runner may have, and what of its log is shown."""

from __future__ import annotations

import pytest

from bootpress.core.errors import InvalidInput
from bootpress.core.workers import rules, runner_plan
from bootpress.core.workers.runner_plan import RunnerPlan


@pytest.mark.parametrize(
    "labels", [["ubuntu:docker://node"], ["a,b"], ["-x"], ["x" * 101], ["\u00fc"], [""], [f"l{n}" for n in range(21)]]
)
def test_what_is_no_list_of_labels_is_refused_by_field(labels: list[str]) -> None:
    with pytest.raises(InvalidInput) as caught:
        runner_plan.check_labels(labels)
    assert caught.value.field == "labels"


def test_labels_are_kept_once_each_in_order() -> None:
    assert runner_plan.check_labels(["disk-image-builder", " amd64", "amd64"]) == ["disk-image-builder", "amd64"]


@pytest.mark.parametrize(
    ("lines", "shown"),
    [
        ([], "(it said nothing)"),
        (["", "  "], "(it said nothing)"),
        (["one", "two"], "one / two"),
        (["again"] * 50 + ["last"], "again / last"),
        (["\x1b[31mred\x1b[0m\ttext\r\x00\x9b"], "redtext"),
        (["with token s3cret and s3cret"], "with token *** and ***"),
    ],
)
def test_the_end_of_a_log_is_one_line_without_secret_and_control_characters(lines: list[str], shown: str) -> None:
    assert rules.end_of_log(lines, secret="s3cret") == shown


def test_the_end_of_a_log_is_bounded_and_it_is_the_end() -> None:
    shown = rules.end_of_log([f"{number} " + "x" * 5000 for number in range(500)], secret="s3cret")
    assert len(shown) < rules.MAX_LOG + 50
    assert shown.rpartition(" / ")[2].startswith("499 ")


@pytest.mark.parametrize(("had", "action"), [(None, "created"), ("a", "replaced"), ("b", "kept")])
def test_what_became_of_a_runner(had: str | None, action: str) -> None:
    assert rules.provision_action(had=had, has="b") == action


@pytest.mark.parametrize(("url", "warned"), [("http://127.0.0.1:3000", True), ("https://forge.example", False)])
def test_a_runner_on_the_network_of_the_machine_is_warned_of(url: str, *, warned: bool) -> None:
    plan = RunnerPlan("edge", "acme/images", "default", url, None, "gitea/act_runner", ["amd64"])
    assert bool(runner_plan.warnings(plan)) is warned
