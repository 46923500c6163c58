"""What the embedded forge reads and prints: workflow files, lookups, logs."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bootpress.adapters.forges.embedded.execution.joblog import MASK, MAX_LINE, JobLog, SecretMasker
from bootpress.adapters.forges.embedded.workflow import expressions, triggers, workflow, workflow_yaml
from bootpress.core.errors import Unsupported

ROOT = Path(__file__).resolve().parents[4]
KNOWN = {
    "inputs": {"slug": "${{ secrets.A }}", "dispatch-id": "d"},
    "secrets": {"A": "hidden"},
    "vars": {"HOST": "registry.example"},
    "github": {"ref_name": "main", "event": {"inputs": {"slug": "s"}}},
    "env": {},
}


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("${{ vars.HOST }}/x", "registry.example/x"),
        ("${{vars.host}} ${{ Secrets.a }}", "registry.example hidden"),
        ("${{ inputs.slug }}", "${{ secrets.A }}"),  # what was put in is not looked at again
        ("${{ inputs.dispatch-id }}", "d"),
        ("${{ github.event.inputs.slug }}", "s"),
        ("[${{ inputs.none }}${{ secrets.NONE }}${{ github.event.none.none }}]", "[]"),
        ("$HOME ${HOME} {{ x }}", "$HOME ${HOME} {{ x }}"),
    ],
)
def test_lookups_are_filled_with_what_is_there(text: str, filled: str) -> None:
    assert expressions.render(expressions.check(text, where="here"), KNOWN) == filled


@pytest.mark.parametrize(
    "text",
    [
        "${{ inputs.a || 'b' }}", "${{ inputs['a'] }}", "${{ toJSON(inputs) }}", "${{ 'a' }}", "${{ inputs }}",
        "${{ }}",
        "${{ steps.a.outputs.b }}", "${{ needs.a.result }}", "${{ github.workspaces }}", "${{ inputs.a.b }}", "${{ a",
        "${{ vars.A }}${{", "${{ \u0131nputs.a }}",
    ],
)  # fmt: skip
def test_what_is_more_than_a_lookup_is_refused_by_name(text: str) -> None:
    with pytest.raises(Unsupported, match="here"):
        expressions.check(text, where="here")


@pytest.mark.parametrize(
    ("on", "ref", "starts"),
    [
        ("push", "refs/heads/a/b", True),
        ("[push, workflow_dispatch]", "refs/tags/v1", True),
        ("{push: {tags: ['v*']}}", "refs/tags/v1.2", True),
        ("{push: {tags: ['v*']}}", "refs/tags/v1/2", False),
        ("{push: {tags: ['v**']}}", "refs/tags/v1/2", True),
        ("{push: {tags: ['v*']}}", "refs/tags/xv1", False),
        ("{push: {tags: ['v*']}}", "refs/heads/v1", False),
        ("{push: {branches: main}}", "refs/heads/main", True),
        ("{push: {branches: main}}", "refs/heads/mainline", False),
        ("{push: {branches: main}}", "refs/tags/main", False),
        ("{push: {tags: [v.1]}}", "refs/tags/vx1", False),
        ("workflow_dispatch", "refs/heads/main", False),
        ("{schedule: [{cron: x}]}", "refs/heads/main", False),
    ],
)
def test_a_push_starts_what_asks_for_it(on: str, ref: str, *, starts: bool) -> None:
    assert triggers.read(workflow_yaml.load(f"on: {on}".encode())).match(ref) is starts


@pytest.mark.parametrize(
    "on",
    ["{push: {paths: [a]}}", "{push: {tags: ['!v1']}}", "{push: {tags: ['*a*a*a*a*a*a']}}", "{push: [main]}"],
)
def test_a_filter_that_is_not_known_does_not_pass_for_always(on: str) -> None:
    with pytest.raises(Unsupported):
        triggers.read(workflow_yaml.load(f"on: {on}".encode()))


def test_no_pattern_takes_long() -> None:
    found = triggers.read(workflow_yaml.load(b"on: {push: {tags: ['**a**a**a**a**c']}}"))
    began = time.process_time()
    assert not found.match(f"refs/tags/{'a' * 160}")
    assert found.match(f"refs/tags/{'a' * 160}c")
    assert time.process_time() - began < 0.5


def test_inputs_have_their_defaults_as_they_are_written_and_others_are_dropped() -> None:
    given_in = "{a: {default: 1.10}, b: {type: boolean, default: true}, c: {required: true}, d: }"
    on = f"{{workflow_dispatch: {{inputs: {given_in}}}}}"
    declared = triggers.read(workflow_yaml.load(f"on: {on}".encode()))
    assert declared.given({"c": "given", "e": "unknown"}) == {"a": "1.10", "b": "true", "c": "given", "d": ""}


def test_the_template_is_understood() -> None:
    source = (ROOT / "deployments/build-repo/.gitea/workflows/build-disk-image.yml").read_bytes()
    (job,) = workflow.plan(workflow_yaml.load(source)).jobs
    assert job.labels == ["disk-image-builder"]
    assert triggers.read(workflow_yaml.load(source)).match("refs/tags/v1")


@pytest.mark.parametrize(
    "source",
    [
        b"a: &a [1]\nb: *a\n", b"\xff\xfe\x00", b"a: [", b"- 1", b"", b"on: push", b"{" * 100, b"a: {b: " * 60,
        b"? [1]\n: 2", b"jobs: {a: 1}\non: push", b"x" * (1 << 19), b"a: [" + b"1," * 30_000 + b"]", b"!!python/none x",
    ],
    ids=range(13),
)  # fmt: skip
def test_what_is_no_workflow_is_refused(source: bytes) -> None:
    with pytest.raises(Unsupported):
        workflow.plan(workflow_yaml.load(source))


@given(st.binary(max_size=200) | st.text(alphabet="{}[]:-,'\"&*!|> \nonjbs$uruse", max_size=200).map(str.encode))
def test_no_file_does_more_than_be_refused(source: bytes) -> None:
    with contextlib.suppress(Unsupported):
        read = workflow_yaml.load(source)
        triggers.read(read)
        workflow.plan(read)


@given(
    st.lists(st.sampled_from([*"abc \n", "correct horse", "corr", "ect", " horse", "MIIBAAAA", "y" * 300]), max_size=60)
)
@settings(max_examples=50)
def test_no_secret_passes_however_output_comes_in_pieces(pieces: list[str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        masks = SecretMasker(["correct horse", "correct", "-----BEGIN\nMIIBAAAA\n}\n"])
        log = JobLog(folder / "log", masks, limit=1 << 30, pipe=folder / "pipe")
        for piece in pieces:
            os.write(log.output, piece.encode())
        log.close()
        said = (folder / "log").read_bytes()
    assert b"correct" not in said
    assert b"MIIBAAAA" not in said
    assert said.count(b"y") == "".join(pieces).count("y")


def test_a_secret_is_masked_wherever_a_long_line_is_cut(tmp_path: Path) -> None:
    secret = "a-secret-of-forty-characters-in-one-line"
    for shift in range(0, 60, 7):
        folder = tmp_path / str(shift)
        folder.mkdir()
        log = JobLog(folder / "log", SecretMasker([secret]), limit=1 << 30, pipe=folder / "pipe")
        log.say("z" * (MAX_LINE * 2 - shift) + secret + "z" * MAX_LINE + secret)
        log.close()
        lines = (folder / "log").read_bytes().split(b"\n")
        text = b"".join(line.partition(b" ")[2] for line in lines)
        assert b"secret" not in text
        assert text.count(MASK) == 2
