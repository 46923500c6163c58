"""Run the real cosign against a registry on this machine, with nothing of the developer's.

With keys it works offline, unless a log is named; without keys it talks to the services of `sigstore_live`.
"""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bootpress.core.ports import RegistryConnection
from tests.support import services as parts
from tests.support.sigstore_live import Sigstore

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
    password: str = field(default="", repr=False)

    @property
    def pem(self) -> str:
        """Return the public key."""
        return self.public.read_text()


class Cosign:
    """One major version of cosign with a home folder of its own."""

    def __init__(self, major: int, home: Path, *, login: RegistryConnection | None = None) -> None:
        self.major = major
        self._program = parts.require(f"cosign{major}")
        self._home = home
        self._home.mkdir(parents=True, exist_ok=True)
        self._signing_config = home / "signing-config.json"
        self._signing_config.write_text(json.dumps(_NO_SERVICES))
        if login is not None and login.token is not None:
            self._log_in(login)

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
        words = ["sign", f"--key={key.private}", offline, "--yes", *options, image]
        self._run(words, {"COSIGN_PASSWORD": key.password})

    def sign_legacy(self, image: str, key: Key) -> None:
        """Sign in the format of cosign 2 with cosign 3."""
        options = ["--use-signing-config=false", "--new-bundle-format=false", "--tlog-upload=false"]
        self._run(["sign", f"--key={key.private}", *options, "--yes", image])

    def attest(self, image: str, key: Key, predicate: Path) -> None:
        """Attach a signed statement that is no image signature."""
        offline = "--tlog-upload=false" if self.major == 2 else f"--signing-config={self._signing_config}"
        options = [offline, f"--predicate={predicate}", "--type=custom", "--yes"]
        self._run(["attest", f"--key={key.private}", *options, image])

    def attach_sbom(self, image: str, sbom: Path) -> None:
        """Attach an SPDX document, unsigned; only cosign 2 still does."""
        self._run(["attach", "sbom", f"--sbom={sbom}", "--type=spdx", "--input-format=json", image])

    def sign_logged(self, image: str, key: Key, services: Sigstore) -> None:
        """Sign with a key, and let the log of this version's time know."""
        if self.major == 2:
            options = [f"--rekor-url={services.rekor1}"]
        else:
            options = [f"--signing-config={services.signing_config(2)}", f"--trusted-root={services.trusted_root_file}"]
        self._run(["sign", f"--key={key.private}", *options, "--yes", image], services.cosign2_environment())

    def sign_keyless(self, image: str, services: Sigstore, token: str, *, rekor: int = 2) -> None:
        """Sign as the pipeline that a token names; cosign 2 knows Rekor 1 only."""
        self._run(["sign", *self._keyless(services, token, rekor), image], services.cosign2_environment())

    def attest_keyless(self, image: str, services: Sigstore, token: str, predicate: Path, kind: str) -> None:
        """Attach a statement of a kind, signed as the pipeline that a token names."""
        options = [f"--predicate={predicate}", f"--type={kind}"]
        self._run(["attest", *options, *self._keyless(services, token, 2), image], services.cosign2_environment())

    def verifies_keyless(self, image: str, services: Sigstore, *, identity: str, issuer: str) -> bool:
        """Tell whether cosign accepts an image's signature by an identity, both regular expressions."""
        options = [f"--certificate-identity-regexp={identity}", f"--certificate-oidc-issuer-regexp={issuer}"]
        if self.major == 3:
            options += [f"--trusted-root={services.trusted_root_file}"]
        return self._start(["verify", *options, image], services.cosign2_environment()).returncode == 0

    def verifies(self, image: str, public_key: Path) -> bool:
        """Tell whether cosign accepts an image's signature by a key, logged or not."""
        options = ["--insecure-ignore-tlog=true", *(["--private-infrastructure=true"] if self.major == 2 else [])]
        return self._start(["verify", f"--key={public_key}", *options, image]).returncode == 0

    def _keyless(self, services: Sigstore, token: str, rekor: int) -> list[str]:
        # In a file: a command line is everybody's to read.
        file = self._home / "token"
        file.write_text(token)
        options = [f"--identity-token={file}", "--yes"]
        if self.major == 2:
            return [*options, f"--fulcio-url={services.fulcio}", f"--rekor-url={services.rekor1}"]
        return [
            *options,
            f"--signing-config={services.signing_config(rekor)}",
            f"--trusted-root={services.trusted_root_file}",
        ]

    def _log_in(self, login: RegistryConnection) -> None:
        """Leave what `docker login` leaves."""
        folder = self._home / ".docker"
        folder.mkdir(exist_ok=True)
        auth = base64.b64encode(f"{login.username}:{login.token}".encode()).decode()
        (folder / "config.json").write_text(json.dumps({"auths": {login.host: {"auth": auth}}}))

    def _run(self, arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        done = self._start(arguments, environment)
        assert done.returncode == 0, done.stderr

    def _start(
        self, arguments: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        ours = {"HOME": str(self._home), "COSIGN_PASSWORD": "", "NO_PROXY": "127.0.0.1"}
        return subprocess.run(
            [self._program, *arguments],
            cwd=self._home,
            env={**ours, **(environment or {})},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
