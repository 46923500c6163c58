"""Sigstore on this machine, for real: Fulcio, its certificate log, Rekor 1 and 2, a timestamp authority, two issuers.

Everything listens on loopback ports, lies in a folder of its own and ends with the block; the logs' Merkle trees
(Trillian) are in a PostgreSQL database. The one thing that is not real is whom a token names: see `oidc_issuer`.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psycopg
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from cryptography.x509.oid import NameOID
from sqlalchemy import make_url

from tests.support import services
from tests.support.oidc_issuer import Issuer, running_issuer
from tests.support.ports import free_port
from tests.support.processes import Program, listens, wait_for

PARTS = (
    "postgresql",
    "trillian_log_server",
    "trillian_log_signer",
    "createtree",
    "ct_server",
    "fulcio",
    "rekor1",
    "rekor2",
    "timestamp-server",
    "cosign3",
)
FORGE = "https://gitea.example"
"""What the certificates' identities begin with."""
WORKFLOW = "os/images/.gitea/workflows/build-disk-image.yml"
MAIN = f"{WORKFLOW}@refs/heads/main"
METRICS = 2112
"""Where the timestamp authority tells its metrics, on every interface and come what may: it ends if that is taken.
So one run of these services at a time; Rekor 1 would use the same port and goes without."""
SIGNED_FROM = timedelta(days=1)
"""How long before their start the services' keys are trusted."""


@dataclass(frozen=True, slots=True)
class Sigstore:
    """The running services, as a signer and as a verifier know them."""

    folder: Path
    issuer: Issuer
    """The forge's."""
    stranger: Issuer
    """Another issuer that Fulcio trusts as well."""
    fulcio: str
    rekor1: str
    rekor2: str
    timestamps: str
    certificate_log: str

    @property
    def trusted_root_file(self) -> Path:
        """Return the trusted root that names them all."""
        return self.folder / "trusted_root.json"

    @property
    def trusted_root(self) -> dict[str, Any]:
        """Return the trusted root as a platform's trust policy carries it."""
        root: dict[str, Any] = json.loads(self.trusted_root_file.read_bytes())
        return root

    def signing_config(self, rekor: int) -> Path:
        """Return what tells cosign 3 to use them, with this version of Rekor."""
        return self.folder / f"signing-config-{rekor}.json"

    def cosign2_environment(self) -> dict[str, str]:
        """Return what tells cosign 2 to trust them."""
        return {
            "SIGSTORE_ROOT_FILE": str(self.folder / "fulcio.pem"),
            "SIGSTORE_REKOR_PUBLIC_KEY": str(self.folder / "rekor1.pub"),
            "SIGSTORE_CT_LOG_PUBLIC_KEY_FILE": str(self.folder / "ct.pub"),
        }

    def token(self, workflow: str = MAIN, *, issuer: Issuer | None = None) -> str:
        """Sign a token for a run of a workflow, written as `owner/repo/path@ref`."""
        repository, ref = "/".join(workflow.split("/")[:2]), workflow.rpartition("@")[2]
        return (issuer or self.issuer).token(
            sub=f"repo:{repository}:ref:{ref}",
            repository=repository,
            ref=ref,
            sha="852d574e870b7ea33de17ff3ff41eef375ae1b9d",
            run_id="7",
            job_workflow_ref=workflow,
        )

    def trust(self, *, identity: str | None = None, issuer: str | None = None) -> dict[str, Any]:
        """Return a keyless trust policy: the workflow's main branch and tags, unless told otherwise."""
        return {
            "mode": "keyless",
            "cosign_identity_regexp": identity or f"{re.escape(f'{FORGE}/{WORKFLOW}')}@refs/(heads/main|tags/v.*)",
            "cosign_issuer_regexp": issuer or re.escape(self.issuer.url),
            "trusted_root": self.trusted_root,
        }


@contextmanager
def running_sigstore(database: str, *, issuer_port: int = 0) -> Iterator[Sigstore]:
    """Run all services; `database` is the URL of an empty PostgreSQL database."""
    for name in PARTS:
        services.require(name)
    # Not pytest's temporary folder: the path of Fulcio's Unix socket would be too long there.
    folder = Path(tempfile.mkdtemp(prefix="bootpress-sigstore-"))
    try:
        with ExitStack() as stack:
            issuers = (stack.enter_context(running_issuer(issuer_port)), stack.enter_context(running_issuer()))
            yield _Starter(folder, stack).start(database, *issuers)
    finally:
        shutil.rmtree(folder)


class _Starter:
    """Starts one service after the other; each ends with the stack."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self._folder = folder
        self._stack = stack

    def start(self, database: str, issuer: Issuer, stranger: Issuer) -> Sigstore:
        """Start everything and write what signers and verifiers need."""
        trillian = self._trillian(database)
        timestamps = self._timestamps()
        rekor1, rekor2 = self._rekor1(trillian), self._rekor2()
        self._authority()
        ct_log = self._certificate_log(trillian)
        fulcio = self._fulcio(ct_log[1], issuer, stranger)
        for (program, url), path in (
            (rekor1, "/ping"),
            (rekor2, "/healthz"),
            (ct_log, "/ct/ct/v1/get-roots"),
            (fulcio, "/healthz"),
        ):
            program.wait_until(partial(_answers, url + path), what=f"{url} answers")
        self._fetch(f"{rekor1[1]}/api/v1/log/publicKey", "rekor1.pub")
        self._fetch(f"{timestamps[1]}/api/v1/timestamp/certchain", "timestamps.pem")
        sigstore = Sigstore(
            self._folder, issuer, stranger, fulcio[1], rekor1[1], rekor2[1], timestamps[1], f"{ct_log[1]}/ct"
        )
        _write_configurations(sigstore)
        return sigstore

    def _trillian(self, database: str) -> int:
        """Start the Merkle trees' server and sequencer; return the server's port."""
        program = services.require("trillian_log_server")
        uri = make_url(database).set(drivername="postgresql")
        with psycopg.connect(uri.render_as_string(hide_password=False), autocommit=True) as connection:
            connection.execute((program.parent / "storage/postgresql/schema/storage.sql").read_bytes())
        uri = uri.update_query_dict({"sslmode": "disable"})
        storage = ["--storage_system=postgresql", f"--postgresql_uri={uri.render_as_string(hide_password=False)}"]
        storage += ["--quota_system=noop", "--http_endpoint=", "--logtostderr"]
        port, signer_port = free_port(), free_port()
        server = self._run("trillian_log_server", f"--rpc_endpoint=127.0.0.1:{port}", *storage)
        options = [f"--rpc_endpoint=127.0.0.1:{signer_port}", "--force_master", "--sequencer_interval=100ms"]
        signer = self._run("trillian_log_signer", *options, *storage)
        server.wait_until(lambda: listens(port), what="Trillian answers")
        signer.wait_until(lambda: listens(signer_port), what="Trillian's signer answers")
        return port

    def _rekor1(self, trillian: int) -> tuple[Program, str]:
        port = free_port()
        options = ["--trillian_log_server.address=127.0.0.1", f"--trillian_log_server.port={trillian}"]
        options += ["--rekor_server.address=127.0.0.1", f"--port={port}", "--rekor_server.hostname=127.0.0.1"]
        options += ["--rekor_server.signer=memory", "--enable_retrieve_api=false"]
        return self._run("rekor1", "serve", *options), f"http://127.0.0.1:{port}"

    def _rekor2(self) -> tuple[Program, str]:
        port = free_port()
        self._key("rekor2")
        # Its hostname is the log's name, and a log's name is the host of its URL.
        options = [f"--signer-filepath={self._folder / 'rekor2.key'}", "--hostname=127.0.0.1"]
        options += [f"--storage-dir={self._folder / 'rekor2'}", "--checkpoint-interval=1s", "--batch-max-age=100ms"]
        options += [f"--http-port={port}", f"--grpc-port={free_port()}", f"--http-metrics-port={free_port()}"]
        options += ["--http-address=127.0.0.1", "--grpc-address=127.0.0.1"]
        return self._run("rekor2", "serve", *options), f"http://127.0.0.1:{port}"

    def _timestamps(self) -> tuple[Program, str]:
        """Start the timestamp authority, and wait for it: it insists on its port for metrics, which Rekor 1 shares."""
        wait_for(lambda: not listens(METRICS), what=f"port {METRICS} is free (does another run of the tests hold it?)")
        port = free_port()
        options = ["--host=127.0.0.1", f"--port={port}", "--timestamp-signer=memory", "--disable-ntp-monitoring"]
        program, url = self._run("timestamp-server", "serve", *options), f"http://127.0.0.1:{port}"
        program.wait_until(lambda: listens(METRICS) and _answers(f"{url}/ping"), what="time stamps are to be had")
        return program, url

    def _authority(self) -> None:
        """Make Fulcio's certificate authority."""
        key = self._key("fulcio")
        name = x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, "tests"),
                x509.NameAttribute(NameOID.COMMON_NAME, "tests-fulcio"),
            ]
        )
        start = _beginning()
        usage = dict.fromkeys(
            [
                "digital_signature",
                "content_commitment",
                "key_encipherment",
                "data_encipherment",
                "key_agreement",
                "encipher_only",
                "decipher_only",
            ],
            False,
        )
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + timedelta(days=3650))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(x509.KeyUsage(key_cert_sign=True, crl_sign=True, **usage), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        (self._folder / "fulcio.pem").write_bytes(certificate.public_bytes(Encoding.PEM))

    def _certificate_log(self, trillian: int) -> tuple[Program, str]:
        """Start the log that Fulcio's certificates go to (RFC 6962)."""
        key = self._key("ct").private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        tree = subprocess.run(
            [services.require("createtree"), f"--admin_server=127.0.0.1:{trillian}", "--max_root_duration=1h"],
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
        ).stdout.strip()
        der = "".join(f"\\{byte:03o}" for byte in key)
        config = self._folder / "ct.cfg"
        config.write_text(
            f'config {{ log_id: {tree} prefix: "ct" roots_pem_file: "{self._folder / "fulcio.pem"}" '
            f'private_key: {{ [type.googleapis.com/keyspb.PrivateKey] {{ der: "{der}" }} }} }}\n'
        )
        port = free_port()
        options = [f"--log_config={config}", f"--log_rpc_server=127.0.0.1:{trillian}", "--logtostderr"]
        program = self._run("ct_server", f"--http_endpoint=127.0.0.1:{port}", *options)
        return program, f"http://127.0.0.1:{port}"

    def _fulcio(self, ct_log: str, *issuers: Issuer) -> tuple[Program, str]:
        port, folder = free_port(), self._folder
        (folder / "fulcio.yaml").write_text(yaml.safe_dump(_fulcio_config(*issuers)))
        options = ["--ca=fileca", f"--fileca-cert={folder / 'fulcio.pem'}", f"--fileca-key={folder / 'fulcio.key'}"]
        options += ["--fileca-key-passwd=", "--fileca-watch=false", f"--config-path={folder / 'fulcio.yaml'}"]
        options += [f"--ct-log-url={ct_log}/ct", f"--ct-log-public-key-path={folder / 'ct.pub'}"]
        options += ["--host=127.0.0.1", f"--port={port}", "--grpc-host=127.0.0.1", f"--grpc-port={free_port()}"]
        options += [f"--metrics-port={free_port()}", f"--legacy-unix-domain-socket={folder / 'fulcio.sock'}"]
        return self._run("fulcio", "serve", *options), f"http://127.0.0.1:{port}"

    def _run(self, name: str, *options: str) -> Program:
        argv = [str(services.require(name)), *options]
        # Nothing of the developer's: the home is where some of them look for a configuration.
        environment = {"HOME": str(self._folder), "PATH": "/usr/bin:/bin", "NO_PROXY": "127.0.0.1"}
        program = Program(argv, log=self._folder / f"{name}.log", env=environment, cwd=self._folder)
        self._stack.callback(program.stop, how=signal.SIGKILL)  # some take 20 s to end politely; none has what to lose
        return program

    def _key(self, name: str) -> ec.EllipticCurvePrivateKey:
        """Make a key pair, in files `<name>.key` and `<name>.pub`."""
        key = ec.generate_private_key(ec.SECP256R1())
        private = self._folder / f"{name}.key"
        private.touch(mode=0o600)
        private.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        (self._folder / f"{name}.pub").write_bytes(public)
        return key

    def _fetch(self, url: str, name: str) -> None:
        (self._folder / name).write_bytes(httpx.get(url, trust_env=False).raise_for_status().content)


def _fulcio_config(*issuers: Issuer) -> dict[str, Any]:
    """Write whom Fulcio believes, and what of a token goes into a certificate."""
    entry = {"client-id": "sigstore", "type": "ci-provider", "ci-provider": "forge", "contact": "tests"}
    return {
        "oidc-issuers": {issuer.url: {**entry, "issuer-url": issuer.url} for issuer in issuers},
        "ci-issuer-metadata": {
            "forge": {
                "default-template-values": {"url": FORGE},
                "extension-templates": {
                    "github-workflow-sha": "sha",
                    "build-signer-uri": "{{ .url }}/{{ .job_workflow_ref }}",
                    "source-repository-uri": "{{ .url }}/{{ .repository }}",
                    "source-repository-digest": "sha",
                    "source-repository-ref": "ref",
                    "run-invocation-uri": "{{ .url }}/{{ .repository }}/actions/runs/{{ .run_id }}",
                },
                "subject-alternative-name-template": "{{ .url }}/{{ .job_workflow_ref }}",
            }
        },
    }


def _write_configurations(sigstore: Sigstore) -> None:
    """Let cosign write the trusted root, and a signing configuration for each Rekor."""
    folder, start = sigstore.folder, _beginning().strftime("%Y-%m-%dT%H:%M:%SZ")
    stamps = f"{sigstore.timestamps}/api/v1/timestamp"
    _cosign(
        folder,
        "trusted-root",
        f"--fulcio=url={sigstore.fulcio},certificate-chain={folder / 'fulcio.pem'},start-time={start}",
        f"--rekor=url={sigstore.rekor1},public-key={folder / 'rekor1.pub'},start-time={start}",
        f"--rekor=url={sigstore.rekor2},public-key={folder / 'rekor2.pub'},start-time={start}",
        f"--ctfe=url={sigstore.certificate_log},public-key={folder / 'ct.pub'},start-time={start}",
        f"--tsa=url={stamps},certificate-chain={folder / 'timestamps.pem'}",
        f"--out={sigstore.trusted_root_file}",
    )
    for version, rekor in ((1, sigstore.rekor1), (2, sigstore.rekor2)):
        common = f"start-time={start},operator=tests"
        _cosign(
            folder,
            "signing-config",
            f"--fulcio=url={sigstore.fulcio},api-version=1,{common}",
            f"--rekor=url={rekor},api-version={version},{common}",
            "--rekor-config=ANY",
            f"--oidc-provider=url={sigstore.issuer.url},api-version=1,{common}",
            f"--tsa=url={stamps},api-version=1,{common}",
            "--tsa-config=ANY",
            f"--out={sigstore.signing_config(version)}",
        )


def _cosign(folder: Path, what: str, *options: str) -> None:
    argv = [str(services.require("cosign3")), what, "create", *options]
    subprocess.run(argv, check=True, capture_output=True, env={"HOME": str(folder)}, timeout=60)


def _beginning() -> datetime:
    return (datetime.now(UTC) - SIGNED_FROM).replace(microsecond=0)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False, timeout=5).is_success
    except httpx.HTTPError:
        return False
