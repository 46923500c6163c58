"""What a workflow file says of itself, however it is written, and whatever its author tries."""

from __future__ import annotations

import time

import pytest

from bootpress.core.builds.workflow_inputs import MAX_BYTES, check_inputs, read_declaration
from bootpress.core.errors import Conflict, InvalidInput


def declared(source: str) -> list[str] | None:
    inputs = read_declaration(source.encode(), name="w.yml").inputs
    return None if inputs is None else sorted(inputs)


@pytest.mark.parametrize(
    ("source", "inputs"),
    [
        ("on: workflow_dispatch", []),
        ("on: [push, workflow_dispatch]", []),
        ("'on': {workflow_dispatch: }", []),
        ("on: {workflow_dispatch: {inputs: {a: {type: string}, b: }}}", ["a", "b"]),
        ("on: {workflow_dispatch: {inputs: [a]}}", []),
        ("on: push", None),
        ("on: {push: {tags: ['v*']}}", None),
        ("true: workflow_dispatch", None),
        ("jobs: {}", None),
        ("", None),
        ("- on", None),
        ("? [on]\n: workflow_dispatch", None),
    ],
)
def test_a_workflow_can_be_dispatched_where_its_triggers_say_so(source: str, inputs: list[str] | None) -> None:
    assert declared(source) == inputs


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (b"on: [", "cannot be read"),
        (b"on: \xff\xfe\x00", "cannot be read"),
        (b"a: " + b"[" * 100 + b"]" * 100, "nested too deeply"),
        (b"a: [" + b"1," * 60_000 + b"]", "too many values"),
        (b"#" * (MAX_BYTES + 1), "at most"),
        (b"a: &a [*b]", "undefined alias"),
        (b'on: {workflow_dispatch: {inputs: {"\\ud800": }}}', "surrogates not allowed"),
    ],
)
def test_what_is_no_workflow_file_is_refused_with_its_name(source: bytes, reason: str) -> None:
    with pytest.raises(Conflict, match=rf"w\.yml .*{reason}"):
        read_declaration(source, name="w.yml")


def test_no_tag_is_obeyed_and_no_alias_is_multiplied() -> None:
    laughs = "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30))
    source = f"a0: &a0 ha\n{laughs}\nx: !!python/object/apply:os.system ['false']\non: workflow_dispatch"
    began = time.monotonic()
    assert declared(source) == []
    assert time.monotonic() - began < 5


SOURCE = """
on:
  workflow_dispatch:
    inputs:
      platform_slug: {required: true}
      flavour: {type: choice, options: [small, large], default: small}
      size: {required: true, default: 1}
      dispatch_id: {required: true}
"""
INPUTS = read_declaration(SOURCE.encode(), name="w.yml").inputs or {}


@pytest.mark.parametrize(
    ("given", "field", "said"),
    [
        ({"platform_slug": "edge", "plattform": "x"}, "inputs.plattform", "accepted: flavour, platform_slug, size"),
        ({}, "inputs.platform_slug", "requires it"),
        ({"platform_slug": ""}, "inputs.platform_slug", "requires it"),
        ({"platform_slug": "edge", "flavour": "tiny"}, "inputs.flavour", "options: small, large"),
        ({"platform_slug": "edge", "dispatch_id": "mine"}, "inputs.dispatch_id", "ours to say"),
    ],
)
def test_an_input_that_does_not_fit_is_refused_by_name(given: dict[str, str], field: str, said: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        check_inputs(INPUTS, given, workflow="w.yml")
    assert caught.value.field == field
    assert said in str(caught.value)


def test_inputs_that_the_workflow_declares_are_taken() -> None:
    check_inputs(INPUTS, {"platform_slug": "edge", "flavour": "large"}, workflow="w.yml")
