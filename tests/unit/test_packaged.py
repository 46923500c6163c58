"""Files that ship beside the code."""

from __future__ import annotations

import yaml

from bootpress.packaged import build_repository


def test_a_build_repository_begins_with_a_workflow_that_can_be_dispatched_and_what_it_runs() -> None:
    files = build_repository()
    workflow = yaml.safe_load(files[".gitea/workflows/build-disk-image.yml"])
    assert "workflow_dispatch" in workflow[True]  # YAML 1.1 reads `on` so
    assert files["build.sh"].startswith(b"#!")
    assert not [path for path in files if path.startswith(("build/", "/", ".."))]
    assert sum(map(len, files.values())) < 1024 * 1024
