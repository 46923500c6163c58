"""The names that scripts rely on, spelled out: every operation's answer, its words for states, and the severities.

These lists are written by hand on purpose. A change here is a change of what others read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from bootpress.core.events.service import SEVERITIES, Kind, Severity
from bootpress.core.operation_registry import OPERATIONS

PLATFORM = """
    id slug name arch oci_repository trust retention_count build_timeout_minutes boot_check registry forge
    disk_image_oci_ref disk_image_publication_status disk_image_publication_error default_publication_id
    default_publication_differences created_at updated_at
"""
PUBLICATION = """
    id node_platform_id status arch git_sha oci_ref oci_digest size_bytes cosign_verified
    signer.mode signer.identity signer.issuer signer.key_sha256 is_default in_use pinned
    sbom.format sbom.package_count attempt_count created_at verified_at published_at retired_at purged_at revoked_at
    error_message
"""
ARTIFACT = "role title media_type digest size_bytes manifest_digest"
DELIVERY = """
    id webhook_id source status platform_slug oci_ref git_sha publication_id error_message waiting_for attempt_count
    received_at next_attempt_at finished_at
"""
WEBHOOK = "id label status url secret_preview received_count last_received_at last_rotated_at"
MINTED_WEBHOOK = "webhook_id webhook_url webhook_secret action"
BOOTSTRAPPED = """
    ok action repo_created webhook_id webhook_url webhook_secret ci_worker_id ci_worker_token gitea_secrets_set
    gitea_variables_set cosign_public_key warnings flow_run_id
"""
TOKEN = "id name permissions parent_id created_at expires_at revoked_at"
EVENT = "id kind severity source actor payload occurred_at"
FORGE = "name kind url"
CI_WORKER = "id name role status labels last_seen_at"
CONNECTION = "name kind host username plain_http"


RUN = "id status conclusion event ref head_sha url created_at reason"
JOB = "id name status conclusion runner started_at completed_at"
BUILD = """
    id node_platform_id platform_slug status repo workflow ref dispatch_id run_id run_url head_sha flow_run_id
    delivery_id publication_id error_message created_at deadline_at finished_at
"""


def within(name: str, fields: str) -> set[str]:
    return {f"{name}.{field}" for field in fields.split()}


ONE_PLATFORM = within("node_platform", PLATFORM)
ONE_PUBLICATION = within("publication", PUBLICATION)
ONE_WEBHOOK = within("webhook", WEBHOOK)
ANSWERS: Mapping[str, set[str]] = {
    "bootstrap_disk_image_ci": set(BOOTSTRAPPED.split()),
    "cancel_gitea_workflow_run": within("run", RUN),
    "create_api_token": {"token_id", "token", "expires_at"},
    "dispatch_gitea_workflow": {"run_id", "build_id", "flow_run_id", "warnings"},
    "get_gitea_job_logs": {"logs"},
    "get_gitea_workflow_run": within("run", RUN) | within("jobs", JOB),
    "list_api_tokens": within("tokens", TOKEN) | {"next_cursor"},
    "list_gitea_workflow_runs": within("runs", RUN),
    "provision_disk_image_webhook": set(MINTED_WEBHOOK.split()),
    "recent_events": within("events", EVENT) | {"next_cursor"},
    "revoke_api_token": within("token", TOKEN),
    "system_connect_forge": within("connection", FORGE + " version user missing_scopes actions_enabled"),
    "system_connect_registry": within("connection", CONNECTION),
    "system_create_node_platform": ONE_PLATFORM,
    "system_disable_disk_image_webhook": ONE_WEBHOOK,
    "system_enable_disk_image_webhook": ONE_WEBHOOK,
    "system_get_disk_image_publication": ONE_PUBLICATION | within("artifacts", ARTIFACT) | {"artifact_count"},
    "system_get_node_platform": ONE_PLATFORM,
    "system_list_ci_workers": within("workers", CI_WORKER) | {"next_cursor"},
    "system_list_connections": within("connections", f"{CONNECTION} {FORGE}") | {"next_cursor"},
    "system_list_disk_image_builds": within("builds", BUILD) | {"next_cursor"},
    "system_list_disk_image_deliveries": within("deliveries", DELIVERY) | {"next_cursor"},
    "system_list_disk_image_publications": within("publications", PUBLICATION) | {"next_cursor"},
    "system_list_disk_image_webhooks": within("webhooks", WEBHOOK) | {"next_cursor"},
    "system_list_node_platforms": within("node_platforms", PLATFORM) | {"next_cursor"},
    "system_pin_disk_image_publication": ONE_PUBLICATION,
    "system_preview_disk_image_retention": (
        {"keep", "retire", "purge", "unlisted"} | within("protected", "publication_id because")
    ),
    "system_provision_ci_worker": (
        within("worker", CI_WORKER)
        | {"ok", "action", "container_id", "runner_host", "image", "warnings", "flow_run_id"}
    ),
    "system_restore_disk_image_publication": ONE_PUBLICATION,
    "system_retry_disk_image_publication": ONE_PUBLICATION | {"delivery_id"},
    "system_revoke_disk_image_webhook": ONE_WEBHOOK,
    "system_rotate_disk_image_webhook_secret": set(MINTED_WEBHOOK.split()),
    "system_set_default_disk_image_publication": ONE_PUBLICATION,
    "system_set_disk_image_retention": ONE_PLATFORM,
    "system_sweep_disk_image_retention": {"retired", "purged", "unlisted"} | within("kept", "publication_id because"),
    "system_terminate_ci_worker": (
        within("worker", CI_WORKER) | {"ok", "runners_deregistered", "container_removed", "warnings", "flow_run_id"}
    ),
    "system_unpin_disk_image_publication": ONE_PUBLICATION,
    "system_update_node_platform": ONE_PLATFORM,
}
WORDS: Mapping[tuple[str, str], str] = {
    ("system_list_disk_image_builds", "BuildStatus"): (
        "dispatched running callback_received published failed timed_out lost_callback_recovered cancelled"
    ),
    ("list_gitea_workflow_runs", "RunStatus"): "queued in_progress completed",
    ("system_list_ci_workers", "RunnerStatus"): "online offline pending revoked",
    ("system_list_disk_image_deliveries", "DeliveryStatus"): "received processing done failed",
    ("system_list_disk_image_publications", "PublicationStatus"): (
        "queued verifying published failed retired purged revoked"
    ),
    ("system_list_disk_image_webhooks", "WebhookStatus"): "active disabled revoked",
}
SEVERITY: Mapping[str, str] = {
    "system.disk_image_published": "low",
    "system.disk_image_publish_failed": "high",
    "system.disk_image_retention_swept": "low",
    "system.disk_image_retired": "low",
    "system.disk_image_promoted": "medium",
    "system.disk_image_restored": "medium",
    "system.disk_image_reannounced": "low",
    "system.disk_image_webhook_secret_rotated": "medium",
    "system.disk_image_webhook_revoked": "medium",
    "system.disk_image_build_dispatched": "low",
    "system.disk_image_build_stuck": "high",
    "system.disk_image_build_recovered": "medium",
}


def leaves(place: Mapping[str, Any], root: Mapping[str, Any]) -> set[str]:
    """Return the paths of the fields of a JSON Schema; those of a list are those of its items."""
    if "$ref" in place:
        return leaves(root["$defs"][place["$ref"].rpartition("/")[2]], root)
    if "anyOf" in place:
        return set().union(*(leaves(option, root) for option in place["anyOf"]))
    if "items" in place:
        return leaves(place["items"], root)
    found = set()
    for name, said in place.get("properties", {}).items():
        below = leaves(said, root)
        found |= {f"{name}.{path}" for path in below} or {name}
    return found


def test_every_operation_has_its_answer_spelled_out() -> None:
    assert OPERATIONS.keys() == ANSWERS.keys()


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_answer_has_these_fields_and_no_others(name: str) -> None:
    schema = OPERATIONS[name].answer.model_json_schema(mode="serialization")
    assert leaves(schema, schema) == ANSWERS[name]


@pytest.mark.parametrize(("name", "model"), WORDS)
def test_a_state_is_one_of_these_words(name: str, model: str) -> None:
    schema = OPERATIONS[name].answer.model_json_schema(mode="serialization")
    assert set(schema["$defs"][model]["enum"]) == set(WORDS[name, model].split())


def test_every_kind_of_event_has_this_severity() -> None:
    assert {str(kind): str(SEVERITIES.get(kind, Severity.LOW)) for kind in Kind} == SEVERITY
