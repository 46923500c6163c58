"""The program `bootpress` against a running API, as a person and a script use it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.api import EC_KEY, ApiServer, announcement, running_press

PROGRAM = Path(sys.executable).parent / "bootpress"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    with running_press(f"sqlite:///{tmp_path_factory.mktemp('cli') / 'catalog.db'}") as press:
        yield press


@pytest.fixture
def home(served: ApiServer, tmp_path: Path) -> Path:
    """The home of a bootpress that runs, as `up` leaves it."""
    token_file = tmp_path / "admin.token"
    token_file.write_text(served.token + "\n")
    endpoints = {"api_url": served.url, "admin_token_file": str(token_file)}
    (tmp_path / "endpoints.json").write_text(json.dumps(endpoints))
    return tmp_path


def bootpress(
    *words: str, home: Path, stdin: str | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PROGRAM, *words],
        env={"BOOTPRESS_HOME": str(home), "PATH": "/usr/bin:/bin", "HTTP_PROXY": "http://127.0.0.1:9", **environment},
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_call_prints_the_answer_as_json(home: Path) -> None:
    done = bootpress("call", "provision_disk_image_webhook", "label=json", "--json", home=home)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["action"] == "created"


def test_call_shows_a_person_a_table_and_marks_what_is_shown_once(served: ApiServer, home: Path) -> None:
    made = bootpress("call", "provision_disk_image_webhook", "label=table", home=home)
    assert "webhook_secret" in made.stdout
    assert "shown once" in made.stdout
    listed = bootpress("call", "system_list_disk_image_webhooks", home=home)
    for one in served.called("system_list_disk_image_webhooks")["webhooks"]:
        assert one["id"] in listed.stdout
        assert one["label"] in listed.stdout
    assert "shown once" not in listed.stdout


def test_call_builds_nested_fields_numbers_and_lists_from_words_and_files(served: ApiServer, home: Path) -> None:
    key = home / "cosign.pub"
    key.write_text(EC_KEY)
    done = bootpress(
        *("call", "system_create_node_platform", "slug=words", "arch=amd64", "retention_count=7"),
        *("oci_repository=registry.example.org/os/words", "trust.mode=keys", f"trust.public_keys=@{key}", "--json"),
        home=home,
    )
    assert done.returncode == 0, done.stderr
    platform = json.loads(done.stdout)["node_platform"]
    assert (platform["retention_count"], platform["trust"]["mode"]) == (7, "keys")
    assert served.called("system_get_node_platform", id="words")["node_platform"] == platform


def test_a_text_that_looks_like_a_number_stays_text(home: Path) -> None:
    done = bootpress("call", "provision_disk_image_webhook", "label=007", home=home)
    assert done.returncode == 0, done.stderr


def test_a_refusal_is_one_line_with_a_hint_and_exit_code_1(home: Path) -> None:
    done = bootpress("call", "recent_events", "kindprefix=system", home=home)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        "error: unknown field kindprefix",
        "hint: accepted: account_id, cursor, kind_prefix, limit, platform, since",
    ]
    for command in ("call", "operations"):
        unknown = bootpress(command, "recent_event", home=home)
        assert (unknown.returncode, "did you mean recent_events?" in unknown.stderr) == (1, True)


@pytest.mark.parametrize(
    "words",
    [
        ("call", "recent_events", "limit"),
        ("call", "recent_events", "limit=five"),
        ("call", "recent_events", "limit=1", "limit=2"),
        ("call", "recent_events", "platform=@/nonexistent"),
        ("call", "recent_events", "--nonsense"),
        ("call", "recent_events", "--url", "http://127.0.0.1:1"),  # whose token would that be?
        ("nonsense",),
        ("up", "--port", "70000"),
    ],
)
def test_a_wrong_call_is_exit_code_2_and_said(home: Path, words: tuple[str, ...]) -> None:
    done = bootpress(*words, home=home)
    assert done.returncode == 2, done.stdout
    assert done.stderr
    assert "Traceback" not in done.stderr


def test_where_nothing_runs_the_hint_says_how_to_start_it(home: Path, tmp_path: Path, free_port: int) -> None:
    nowhere = bootpress("call", "recent_events", home=tmp_path / "nowhere")
    away = bootpress(
        *("call", "recent_events", "--url", f"http://127.0.0.1:{free_port}", "--token-file", str(home / "admin.token")),
        home=tmp_path / "nowhere",
    )
    assert "--home" in nowhere.stderr, "it may run in another folder"
    for done in (nowhere, away):
        assert done.returncode == 1
        assert "bootpress up" in done.stderr
        assert "Traceback" not in done.stderr


def test_a_url_and_a_token_file_reach_an_api_without_its_home(served: ApiServer, home: Path, tmp_path: Path) -> None:
    poor = tmp_path / "poor.token"
    poor.write_text(served.mint("system.events.read"))
    words = ("call", "system_list_node_platforms", "--json")
    refused = bootpress(
        *words, home=tmp_path / "nowhere", BOOTPRESS_URL=served.url + "/", BOOTPRESS_TOKEN_FILE=str(poor)
    )
    assert (refused.returncode, "system.node_platforms.read" in refused.stderr) == (1, True)
    token = str(home / "admin.token")
    done = bootpress(*words, "--url", served.url, "--token-file", token, home=tmp_path / "nowhere")
    assert done.returncode == 0, done.stderr


def test_a_token_that_is_not_accepted_is_named_by_its_file(home: Path) -> None:
    wrong = home / "wrong.token"
    wrong.write_text("nonsense\n")
    refused = bootpress("call", "recent_events", "--token-file", str(wrong), home=home)
    assert refused.returncode == 1
    assert f"does not accept the token in {wrong}" in refused.stderr
    assert "hint: name a file with another: --token-file" in refused.stderr
    assert "nonsense" not in refused.stderr


def test_a_registry_where_nothing_listens_is_refused_with_a_hint(home: Path, free_port: int) -> None:
    refused = bootpress("call", "system_connect_registry", f"host=127.0.0.1:{free_port}", home=home)
    assert refused.returncode == 1
    assert f"hint: is 127.0.0.1:{free_port} right, does a registry listen there" in refused.stderr


def test_a_repeat_with_an_idempotency_key_has_one_effect(home: Path) -> None:
    words = ("call", "provision_disk_image_webhook", "label=once", "--json", "--idempotency-key", "1")
    first, again = (json.loads(bootpress(*words, home=home).stdout) for _ in range(2))
    assert again == first | {"webhook_secret": None}


def test_a_secret_comes_from_standard_input(home: Path) -> None:
    done = bootpress("call", "provision_disk_image_webhook", "label=@-", "--json", home=home, stdin="from-stdin")
    assert done.returncode == 0, done.stderr
    listed = bootpress("call", "system_list_disk_image_webhooks", home=home)
    assert "from-stdin" in listed.stdout


def test_an_operation_that_resembles_none_is_told_where_they_are_listed(home: Path) -> None:
    assert "hint: `bootpress operations`" in bootpress("call", "xyz", home=home).stderr


def test_what_outsiders_wrote_cannot_steer_the_terminal(served: ApiServer, home: Path) -> None:
    bell = served.provision("steer")
    assert bell.ring(announcement(platform_slug="\x1b[31mred\x1b]0;title\x07[bold]")).status_code == 202
    done = bootpress("call", "system_list_disk_image_deliveries", home=home)
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout
    assert "[bold]" in done.stdout


def test_operations_are_listed_with_permissions_and_fields(tmp_path: Path) -> None:
    listed = bootpress("operations", home=tmp_path)
    assert "system_set_default_disk_image_publication" in listed.stdout
    one = bootpress("operations", "system_set_disk_image_retention", home=tmp_path)
    assert "retention_count" in one.stdout
    assert "system.disk_image_retention.manage" in one.stdout
    raw = json.loads(bootpress("operations", "recent_events", "--json", home=tmp_path).stdout)
    assert raw["operations"][0]["request"]["properties"]["limit"]["maximum"] == 500


def test_what_a_field_within_another_takes_is_shown_with_it(tmp_path: Path) -> None:
    shown = bootpress("operations", "system_create_node_platform", home=tmp_path).stdout
    rows = {words[0]: " ".join(words[1:]) for words in map(str.split, shown.splitlines()) if words}
    assert rows["trust.mode"].startswith("keyless|keys yes")
    assert rows["trust.public_keys"].startswith("list of string with mode=keys")
    assert rows["trust.cosign_identity_regexp"].startswith("string with mode=keyless")
    assert rows["trust.trusted_root"].startswith("public-good or object no public-good")


def test_the_help_of_call_says_how_fields_are_written(tmp_path: Path) -> None:
    shown = bootpress("call", "--help", home=tmp_path).stdout
    for way in ("field=@file", "field:=json", "outer.inner", "list=a list=b"):
        assert way in shown


def test_the_version_and_the_help_name_the_program(tmp_path: Path) -> None:
    assert bootpress("--version", home=tmp_path).stdout.startswith("bootpress ")
    shown = bootpress("--help", home=tmp_path).stdout
    assert all(command in shown for command in ("up", "demo", "doctor", "call", "operations"))
