"""The page of the contract says what the code does, no less and no more."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import AliasChoices, BaseModel

from bootpress.adapters.oci import limits as oci_limits
from bootpress.core.accounts import idempotency
from bootpress.core.builds import rules as builds
from bootpress.core.builds.states import BuildStatus
from bootpress.core.deliveries import payload, receiver
from bootpress.core.deliveries import rules as deliveries
from bootpress.core.deliveries.payload import DeliveryPayload
from bootpress.core.deliveries.states import DeliveryStatus
from bootpress.core.events.service import SEVERITIES, Kind, Severity
from bootpress.core.operation import MAX_LIMIT, Operation
from bootpress.core.operation_registry import OPERATIONS
from bootpress.core.publications import rules as publications
from bootpress.core.publications.states import PublicationStatus
from bootpress.core.retention import rules as retention
from bootpress.core.state_machine import StateMachine
from bootpress.core.webhooks import hmac_signature
from bootpress.core.webhooks import rules as webhooks
from bootpress.core.webhooks.states import WebhookStatus
from bootpress.core.workers import repository_settings
from bootpress.entrypoints.api import http_protocol, openapi, operations, problems
from bootpress.entrypoints.api.metrics import OPERATIONS_PATH
from bootpress.entrypoints.cli.main import app
from bootpress.settings import Settings
from tests.unit.test_docs import ROOT, rows, variables

TEXT = (ROOT / "docs/reference/contract.md").read_text()


def section(title: str) -> str:
    """Return what stands below one heading, up to the next of any level."""
    (found,) = re.findall(rf"^#+ {title}\n(.*?)(?=^#|\Z)", TEXT, re.DOTALL | re.MULTILINE)
    return str(found)


def table(title: str, first: str) -> dict[str, list[str]]:
    """Return the rows of the table below a heading whose head begins with `first`, by their first code span or word."""
    found: dict[str, list[str]] = {}
    inside = False
    for line in section(title).splitlines():
        inside = line.startswith(f"| {first} |") or (inside and line.startswith("|"))
        cells = next(rows(line), None)
        if inside and cells and cells[0] != first and set(cells[0]) != {"-"}:
            found[re.sub(r"^`([^`]+)`$", r"\1", cells[0])] = cells[1:]
    assert found
    return found


def spans(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def fields(model: type[BaseModel]) -> Iterator[str]:
    """Yield the fields of a request as the page writes them."""
    for name, field in model.model_fields.items():
        if name != "account_id":  # which all of them have
            yield f"`{name}`" + ("" if field.is_required() else "?")


def row_of(one: Operation[Any, Any]) -> str:
    """Return the row that the page has of an operation."""
    answer = " ".join(f"`{name}`" + "!" * (name in one.secrets) for name in one.answer.model_fields)
    kind = "changes" if one.changes else "reads"
    return f"| `{one.name}` | {' '.join(fields(one.request))} | {answer} | `{one.permission}` | {kind} |"


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_has_its_fields_and_its_permission_in_a_row(name: str) -> None:
    assert [line for line in TEXT.splitlines() if line.startswith(f"| `{name}` |") and line.count("|") == 6] == [
        row_of(OPERATIONS[name])
    ]


def test_the_page_has_no_other_operation() -> None:
    below = TEXT.partition("\n## Operations\n")[2].partition("\n## ")[0]
    assert {row[0].strip("`") for row in rows(below) if row[0].startswith("`")} == set(OPERATIONS)


def test_every_event_kind_has_its_severity_in_a_row() -> None:
    said = {kind: cells[0] for kind, cells in table("Event kinds", "kind").items()}
    assert said == {str(kind): str(SEVERITIES.get(kind, Severity.LOW)) for kind in Kind}


def test_every_setting_is_named_once() -> None:
    named = [name for cells in table("Settings", "subject").values() for name in spans(cells[0])]
    known = [one for name, field in Settings.model_fields.items() for one in variables(name, field)]
    assert sorted(named) == sorted(known)


def test_every_command_is_a_row() -> None:
    commands = {f"bootpress {one.callback.__name__}" for one in app.registered_commands if one.callback}
    assert set(table("Running", "command")) == commands


def test_every_deployment_has_its_queue_and_its_schedule_in_a_row() -> None:
    said = table("Prefect", "deployment")
    declared = {}
    for one in yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]:
        module, _, _ = one["entrypoint"].rpartition(".")
        source = (ROOT / f"{module.replace('.', '/')}.py").read_text()
        (flow,) = re.findall(r'^@flow\(name="([a-z-]+)"', source, re.MULTILINE)
        declared[f"{flow}/{one['name']}"] = (
            f"`{one['work_pool']['work_queue_name']}`",
            [schedule["cron"] for schedule in one.get("schedules", [])],
        )
    clock = {name: re.findall(r"the clock, `([^`]+)`", cells[1]) for name, cells in said.items()}
    assert {name: (cells[0], clock[name]) for name, cells in said.items()} == declared


def test_every_path_of_the_api_is_a_row_with_its_method() -> None:
    documented = {
        (method.upper(), path, "yes" if "security" not in described else "no")
        for path, methods in openapi.document()["paths"].items()
        for method, described in methods.items()
        if not path.startswith(OPERATIONS_PATH)
    }
    said = {
        (row[0], row[1].strip("`"), row[2].partition(",")[0])
        for row in rows(section("HTTP"))
        if row[0] in {"GET", "POST"}
    }
    assert said == documented | {("POST", OPERATIONS_PATH + "{name}", "yes")}


def test_every_status_that_the_api_answers_is_a_row() -> None:
    answered = {
        int(status)
        for methods in openapi.document()["paths"].values()
        for described in methods.values()
        for status in described["responses"]
    }
    answered |= {status for _, status in problems.STATUSES}
    assert {int(status) for status in table("HTTP", "status")} == answered | {500}


MACHINES = [
    ("Delivery states", deliveries.DELIVERY, DeliveryStatus),
    ("Publication states", publications.PUBLICATION, PublicationStatus),
    ("Build states", builds.BUILD, BuildStatus),
    ("Webhook and CI worker states", webhooks.WEBHOOK, WebhookStatus),
]


@pytest.mark.parametrize(("title", "machine", "states"), MACHINES, ids=[title for title, _, _ in MACHINES])
def test_every_state_says_what_it_may_become(title: str, machine: StateMachine[Any], states: Iterable[StrEnum]) -> None:
    said = {state: set(spans(cells[1])) for state, cells in table(title, "state").items()}
    assert said == {
        str(state): {str(to) for sources, to in machine.moves.values() if state in sources and to != state}
        for state in states
    }


def test_every_field_of_an_announcement_is_a_row() -> None:
    said = {name: cells[0] for name, cells in table("Webhook", "field").items()}
    known = DeliveryPayload.model_fields
    assert said == {name: "yes" if field.is_required() else "no" for name, field in known.items()}
    aliases = known["platform_slug"].validation_alias
    assert isinstance(aliases, AliasChoices)
    assert set(aliases.choices) - {"platform_slug"} <= set(spans(table("Webhook", "field")["platform_slug"][1]))


def test_the_headers_of_a_signature_stand_in_their_order() -> None:
    assert tuple(name.lower() for name in table("Webhook", "header")) == hmac_signature.HEADERS


def test_the_bounds_are_those_of_the_code() -> None:
    said = {name: cells[0] for name, cells in table("Limits", "bound").items()}
    known = {
        "body of an operation": f"{operations.MAX_BODY >> 20} MiB",
        "body of a webhook delivery": f"{payload.MAX_BODY >> 10} KiB",
        "request line and headers": f"{http_protocol.MAX_HEAD >> 10} KiB",
        "`limit` of a listing": f"1 to {MAX_LIMIT}",
        "calls of one token": f"{operations.CALLS_PER_SECOND} a second",
        "calls of all tokens of one account": f"{operations.ACCOUNT_CALLS_PER_SECOND} a second",
        "failed signatures of one client address": (
            f"{receiver.FAILURES_PER_SECOND:g} a second, {receiver.FAILURES_AT_ONCE} at once"
        ),
        "manifest read from a registry": f"{oci_limits.MAX_MANIFEST >> 20} MiB",
        "referrers of one digest": f"{oci_limits.MAX_REFERRERS}",
        "blob": f"{oci_limits.MAX_BLOB >> 40} TiB",
        "tries of one registry request": f"{oci_limits.Limits().tries}",
        "redirects of one registry request": f"{oci_limits.Limits().redirects}",
        "manifests of an index": f"{publications.MAX_CHILDREN}",
        "blobs of an image": f"{publications.MAX_BLOBS}",
    }
    assert said == known
    assert f"1 to {idempotency.MAX_KEY} printable" in section("Idempotency")
    assert f"{idempotency.RETENTION.total_seconds() / 3600:g} hours" in section("Idempotency").replace("\n", " ")
    assert f"for {retention.GRACE.days} days" in section("Keeping images").replace("\n", " ")


def test_the_names_that_a_pipeline_gets_are_those_that_are_set() -> None:
    source = Path(repository_settings.__file__).read_text()
    names = {*re.findall(r'"(POWERNODE_[A-Z_]+)"', source), repository_settings.PRIVATE_KEY}
    assert set(table("CI setup", "name")) == names | {repository_settings.KEY_PASSWORD}


def test_the_artifact_types_are_those_that_the_template_pushes() -> None:
    pushed = (ROOT / "deployments/build-repo/scripts/push.sh").read_text()
    types = re.findall(r"\bapplication/[\w.+-]*\w", pushed)
    assert {spans(cells[0])[0] for cells in table("Artifact types", "part").values()} == set(types)


def test_every_docstring_that_cites_a_heading_of_the_page_finds_it() -> None:
    titles = {title.lower().replace(" ", "-") for title in re.findall(r"^#+ (.+)$", TEXT, re.MULTILINE)}
    cited = {
        anchor
        for folder in ("src", "flows", "tasks")
        for path in (ROOT / folder).rglob("*.py")
        for anchor in re.findall(r"docs/reference/contract\.md#([a-z-]+)", path.read_text())
    }
    assert cited
    assert cited - titles == set()
