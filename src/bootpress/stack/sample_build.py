"""What the demo's workflow runs: `python -m bootpress.stack.sample_build`.

Makes, pushes, signs and announces a small image as the scripts of deployments/build-repo do, from the same variables
and secrets, without the programs oras, cosign and curl.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Final

from bootpress.adapters.cosign.key_files import read_signing_key
from bootpress.adapters.oci import OciRegistries
from bootpress.core.errors import BootpressError
from bootpress.core.references import Repository
from bootpress.stack import sample_image
from bootpress.stack.errors import StackFailed
from bootpress.stack.sample_webhook import post_delivery

LAYERS: Final = tuple((title, media_type, sample_image.MIB) for title, media_type, _ in sample_image.LAYERS)
"""Small: what is shown here is the way, and the images before were large."""


def build(given: Mapping[str, str]) -> None:
    """Do it all, saying each step."""
    slug, commit, run_id = (_need(given, name) for name in ("INPUT_PLATFORM_SLUG", "GITHUB_SHA", "GITHUB_RUN_ID"))
    repository = Repository(
        _need(given, "POWERNODE_OCI_REGISTRY"), f"{_need(given, 'GITHUB_REPOSITORY')}/{slug}".lower()
    )
    tag = re.sub(r"[^A-Za-z0-9._-]", "-", _need(given, "GITHUB_REF_NAME"))
    url, secret = (_need(given, f"POWERNODE_DISK_IMAGE_WEBHOOK_{what}") for what in ("URL", "SECRET"))
    dispatch_id = given.get("INPUT_DISPATCH_ID", "")
    key = read_signing_key(_need(given, "COSIGN_PRIVATE_KEY"), given.get("COSIGN_PASSWORD", ""))
    _say(f"building {slug} from commit {commit[:12]}")
    annotations = {"org.opencontainers.image.revision": commit}
    if dispatch_id:
        annotations["io.bootpress.dispatch-id"] = dispatch_id
    with tempfile.TemporaryDirectory() as folder, closing(OciRegistries()) as registries:
        workshop = sample_image.SampleImageBuilder(Path(folder), repository, registries)
        image = workshop.push(tag, lambda _: None, layers=LAYERS, annotations=annotations)
        _say(f"pushed {repository}:{tag} as {image.digest}")
        workshop.sign(key, image)
    _say("signed it with the repository's key")
    said = {"platform_slug": slug, "oci_ref": f"{repository}:{tag}", "oci_digest": image.digest, "git_sha": commit}
    said |= {"run_id": run_id, "dispatch_id": dispatch_id} if dispatch_id else {"run_id": run_id}
    _say(f"rang bootpress: delivery {post_delivery(url, secret, said)}")


def _need(given: Mapping[str, str], name: str) -> str:
    value = given.get(name, "")
    if not value:
        raise StackFailed(f"{name} is empty", hint="the workflow hands it on, bootstrap_disk_image_ci sets it")
    return value


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    try:
        build(os.environ)
    except BootpressError as error:
        sys.exit(f"error: {error}")
