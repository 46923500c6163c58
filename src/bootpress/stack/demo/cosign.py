"""Real cosign's opinion of what the demo signed without it, where it is found."""

from __future__ import annotations

import shutil
import subprocess

from bootpress.stack.demo.context import DemoContext, DemoFailed


def check_with_cosign(stage: DemoContext, digest: str, public_pem: str) -> str:
    """Let cosign check a signature; DemoFailed if it does not accept it."""
    cosign = shutil.which("cosign")
    if cosign is None:
        return "[dim](no cosign here to check it too)[/]"
    key = stage.folder / "cosign.pub"
    key.write_text(public_pem)
    reference = stage.workshop.repository.at(digest)
    words = [cosign, "verify", "--key", str(key), "--insecure-ignore-tlog=true", "--allow-http-registry", reference]
    checked = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    if checked.returncode != 0:
        raise DemoFailed(f"cosign does not accept the signature: {checked.stderr.strip()[-300:]}")
    return "cosign agrees"
