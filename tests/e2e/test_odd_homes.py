"""`bootpress up` in homes whose paths hold what addresses, shells and patterns are made of."""

from __future__ import annotations

from pathlib import Path

import pytest

from bootpress.adapters.cosign.signing import SigningKey
from tests.support.running_stack import running_stack

ODD = "a b;c%20d%s:e@f=g&h+i,'j' \"k\" $HOME `l` [bold]m[b] {n} \\o ~ ünï-家"


@pytest.mark.parametrize("name", [ODD, "long" * 60], ids=["odd", "long"])
def test_a_stack_runs_in_a_home_of_any_path_and_writes_nowhere_else(tmp_path: Path, name: str) -> None:
    home = tmp_path / name / "home"
    home.parent.mkdir()
    with running_stack(home) as stack:
        assert stack.home == home
        made = stack.call("provision_disk_image_webhook", label="ci")
        stack.call(
            "system_create_node_platform",
            slug="edge",
            arch="amd64",
            oci_repository=f"{stack.registry}/os/edge",
            trust={"mode": "keys", "public_keys": [SigningKey.create().public_pem]},
        )
        answer = stack.announce(made, platform_slug="edge", oci_ref=f"{stack.registry}/os/edge:absent")
        found = stack.wait_for({answer.json()["delivery_id"]}, seconds=120)
        assert [one["status"] for one in found.values()] == ["failed"]
    assert (home / "bootpress.db").is_file()
    assert (home / "prefect" / "prefect.db").is_file()
    assert {path.name for path in home.parent.iterdir()} == {"home", "home-up.log"}
    assert [path.name for path in tmp_path.iterdir()] == [name]
