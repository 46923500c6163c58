"""Run the real cosign against a registry on this machine, offline and with nothing of the developer's."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support import parts

_NO_SERVICES = {
    "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
    "rekorTlogConfig": {},
    "tsaConfig": {},
}
"""A signing configuration without a certificate authority, log and time stamp: keys only, offline."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key pair as cosign keeps it."""

    private: Path
    public: Path

    @property
    def pem(self) -> str:
        """Return the public key."""
        return self.public.read_text()


class Cosign:
    """One major version of cosign with a home folder of its own."""

    def __init__(self, major: int, home: Path) -> None:
        self.major = major
        self._program = parts.require(f"cosign{major}")
        self._home = home
        self._home.mkdir(parents=True, exist_ok=True)
        self._signing_config = home / "signing-config.json"
        self._signing_config.write_text(json.dumps(_NO_SERVICES))

    def make_key(self, name: str) -> Key:
        """Make a key pair without a password."""
        self._run(["generate-key-pair", f"--output-key-prefix={name}"])
        return Key(self._home / f"{name}.key", self._home / f"{name}.pub")

    def import_key(self, name: str, pem: bytes) -> Key:
        """Take over a private key that another program made."""
        source = self._home / f"{name}.pem"
        source.write_bytes(pem)
        self._run(["import-key-pair", f"--key={source}", f"--output-key-prefix={name}", "--yes"])
        return Key(self._home / f"{name}.key", self._home / f"{name}.pub")

    def sign(self, image: str, key: Key, *options: str) -> None:
        """Sign an image in the format that is this version's own, with no log."""
        offline = "--tlog-upload=false" if self.major == 2 else f"--signing-config={self._signing_config}"
        self._run(["sign", f"--key={key.private}", offline, "--yes", *options, image])

    def sign_legacy(self, image: str, key: Key) -> None:
        """Sign in the format of cosign 2 with cosign 3."""
        options = ["--use-signing-config=false", "--new-bundle-format=false", "--tlog-upload=false"]
        self._run(["sign", f"--key={key.private}", *options, "--yes", image])

    def attest(self, image: str, key: Key, predicate: Path) -> None:
        """Attach a signed statement that is no image signature."""
        offline = "--tlog-upload=false" if self.major == 2 else f"--signing-config={self._signing_config}"
        options = [offline, f"--predicate={predicate}", "--type=custom", "--yes"]
        self._run(["attest", f"--key={key.private}", *options, image])

    def verifies(self, image: str, public_key: Path) -> bool:
        """Tell whether cosign accepts an image's signature by a key, logged or not."""
        options = ["--insecure-ignore-tlog=true", *(["--private-infrastructure=true"] if self.major == 2 else [])]
        return self._start(["verify", f"--key={public_key}", *options, image]).returncode == 0

    def _run(self, arguments: Sequence[str]) -> None:
        done = self._start(arguments)
        assert done.returncode == 0, done.stderr

    def _start(self, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self._program, *arguments],
            cwd=self._home,
            env={"HOME": str(self._home), "COSIGN_PASSWORD": "", "NO_PROXY": "127.0.0.1"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
