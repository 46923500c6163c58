"""A core to try use cases on: real catalog, real verifier, a registry, hand-written fakes at the other ports."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from cryptography.fernet import Fernet
from sqlalchemy import select

from bootpress.adapters.cosign.signing import SigningKey
from bootpress.adapters.cosign.verifier import CosignVerifier
from bootpress.core.accounts.service import create_account
from bootpress.core.builds.callbacks import BuildAwareLauncher
from bootpress.core.context import Caller, Context, Limits
from bootpress.core.deliveries import attempts
from bootpress.core.deliveries.models import Delivery
from bootpress.core.deliveries.receiver import WebhookReceiver
from bootpress.core.deliveries.store import StoredDelivery
from bootpress.core.encryption import SecretCipher
from bootpress.core.events.models import Event
from bootpress.core.operation_registry import OPERATIONS
from bootpress.core.platforms.models import NodePlatform
from bootpress.core.ports import Descriptor, Registry, RegistryConnection, RegistryFactory
from bootpress.core.publications import completion, ingest
from bootpress.core.publications.models import Publication
from bootpress.core.references import Repository
from bootpress.core.webhooks.models import Webhook
from bootpress.core.webhooks.service import provision_webhook
from tests.support.databases import open_catalog
from tests.support.fake_forge import FakeForges, FakeRunnerHosts
from tests.support.fakes import FakeConnections, FakeEventSink, FakeLauncher, FixedClock
from tests.support.layouts import INDEX, MANIFEST, LayoutRegistry

HOST = "127.0.0.1:5000"
REPOSITORY = f"{HOST}/os/images"
EMPTY_CONFIG = "application/vnd.oci.empty.v1+json"
CLIENT = "192.0.2.1"
VERIFIER = CosignVerifier()


class SingleRegistryFactory:
    """The port Registries where every connection leads to one registry; remembers what was opened."""

    def __init__(self, registry: Registry) -> None:
        self.registry = registry
        self.opened: list[RegistryConnection] = []

    def open(self, connection: RegistryConnection) -> Registry:
        self.opened.append(connection)
        return self.registry


class Images:
    """Makes images in a layout, and signs them with one key."""

    def __init__(self, registry: LayoutRegistry) -> None:
        self.registry = registry
        self.key = SigningKey.create()
        self._count = 0

    @property
    def trust(self) -> dict[str, Any]:
        return {"mode": "keys", "public_keys": [self.key.public_pem]}

    def blob(self, content: bytes, media_type: str, **fields: Any) -> dict[str, Any]:
        """Store a blob; return its descriptor."""
        return {"mediaType": media_type, "digest": self.registry.add(content), "size": len(content), **fields}

    def image(
        self,
        *,
        tag: str | None = None,
        config: bytes = b"{}",
        config_type: str = EMPTY_CONFIG,
        sign: bool = True,
        layers: Sequence[dict[str, Any]] | None = None,
    ) -> str:
        """Store an image of one layer that no other has; return its digest."""
        self._count += 1
        kernel = self.blob(b"kernel %d" % self._count, "application/vnd.bootpress.kernel.v1")
        document = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": "application/vnd.bootpress.image.v1",
            "config": self.blob(config, config_type),
            "layers": [kernel] if layers is None else list(layers),
        }
        digest = self.registry.add_json(document, tag=tag)
        if sign:
            self.sign(digest)
        return digest

    def index(self, children: Mapping[str, str], *, tag: str | None = None, sign: bool = True) -> str:
        """Store an index of images by architecture; return its digest."""
        manifests = [
            {
                "mediaType": MANIFEST,
                "digest": digest,
                "size": len(self.registry.blobs[digest]),
                "platform": {"architecture": arch, "os": "linux"},
            }
            for arch, digest in children.items()
        ]
        document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests, "annotations": {"n": uuid4().hex}}
        digest = self.registry.add_json(document, tag=tag)
        if sign:
            self.sign(digest)
        return digest

    def sign(self, digest: str, key: SigningKey | None = None) -> str:
        """Sign a digest as cosign 3 does, at the fallback tag; return the signature's manifest's digest."""
        subject = Descriptor(MANIFEST, digest, len(self.registry.blobs[digest]))
        referrer = (key or self.key).sign(subject, created=datetime(2025, 6, 1, tzinfo=UTC))
        for blob in referrer.blobs:
            self.registry.add(blob)
        return self.refer(digest, referrer.manifest)

    def refer(self, digest: str, manifest: bytes) -> str:
        """Store a manifest and list it at a digest's fallback tag; return its digest."""
        referrer = self.registry.add(manifest)
        tag = digest.replace(":", "-")
        listed = []
        if tag in self.registry.tags:
            listed = json.loads(self.registry.blobs[self.registry.tags[tag]])["manifests"]
        entry = {"mediaType": MANIFEST, "digest": referrer, "size": len(manifest)}
        self.registry.add_json({"schemaVersion": 2, "mediaType": INDEX, "manifests": [*listed, entry]}, tag=tag)
        return referrer


class CoreHarness:
    """One account with a webhook, and everything a test asks or does in the words of an operator."""

    def __init__(self, url: str, *, registries: RegistryFactory | None = None, limits: Limits | None = None) -> None:
        self.layout = LayoutRegistry()
        self.images = Images(self.layout)
        self.clock = FixedClock()
        self.launcher = FakeLauncher()
        self.connections = FakeConnections()
        self.forges = FakeForges()
        self.runner_hosts = FakeRunnerHosts()
        self.sink = FakeEventSink()
        self.errors: list[Exception] = []
        """What attempts met, in order."""
        self.keys = [Fernet.generate_key().decode()]
        self.catalog = open_catalog(url)
        self.context = Context(
            catalog=self.catalog,
            clock=self.clock,
            secrets=SecretCipher(self.keys),
            verifier=VERIFIER,
            registries=registries or SingleRegistryFactory(self.layout),
            forges=self.forges,
            runner_hosts=self.runner_hosts,
            connections=self.connections,
            launcher=BuildAwareLauncher(self.launcher, self.catalog, pauses=(0.0,)),
            event_sink=self.sink,
            public_url="https://press.example",
            limits=limits or Limits(),
        )
        self.caller = self.new_caller("acme")
        self.account_id = self.caller.account_id
        made = provision_webhook(self.context, account_id=self.account_id, label="ci", actor="test")
        self.webhook_id, self.secret = made.webhook.id, made.secret
        self.bell = WebhookReceiver(self.context, rate=50, burst=1000)

    def new_caller(self, account: str, *permissions: str) -> Caller:
        """Return a caller of an account that is made if need be; with every permission unless some are named."""
        account_id = create_account(self.context, account)
        return Caller(account_id, uuid4(), f"{account}'s operator", frozenset(permissions or ("*",)))

    def call(self, name: str, caller: Caller | None = None, /, **fields: Any) -> dict[str, Any]:
        """Call an operation; return its answer as JSON values."""
        answer: dict[str, Any] = (
            OPERATIONS[name].call(self.context, caller or self.caller, fields).model_dump(mode="json")
        )
        return answer

    def platform(self, slug: str = "edge", *, caller: Caller | None = None, **fields: Any) -> UUID:
        """Create a platform that trusts the key of `images`; return its id."""
        given = {"slug": slug, "arch": "amd64", "oci_repository": REPOSITORY, "trust": self.images.trust, **fields}
        return UUID(self.call("system_create_node_platform", caller, **given)["node_platform"]["id"])

    def body(self, *, slug: str = "edge", ref: str = f"{REPOSITORY}:v1", **claims: Any) -> bytes:
        """Write a delivery's body."""
        return json.dumps({"platform_slug": slug, "oci_ref": ref, **claims}).encode()

    def post(self, body: bytes, *, webhook_id: UUID | None = None, secret: str | None = None) -> StoredDelivery:
        """Ring the bell as a pipeline does."""
        return self.bell.receive(
            webhook_id or self.webhook_id,
            headers={"x-powernode-signature": sign_base64(secret or self.secret, body)},
            body=body,
            client=CLIENT,
        )

    def announce(self, **body: Any) -> UUID:
        """Post a new delivery; return its id."""
        receipt = self.post(self.body(**body))
        assert not receipt.duplicate
        return receipt.delivery_id

    def begin(self, delivery_id: UUID) -> UUID:
        """Start a run by hand; return the attempt."""
        return attempts.start(self.context, delivery_id, attempt_id=None, flow_run_id=uuid4())

    def process(self, delivery_id: UUID) -> str:
        """Do what the flow does, once; return what became of the attempt."""
        return self.work(self.begin(delivery_id))

    def work(self, attempt_id: UUID) -> str:
        """Run all steps of an attempt; return `published`, `nothing to do`, or how it was settled."""
        try:
            if not ingest.resolve(self.context, attempt_id):
                return "nothing to do"
            for step in ingest.STEPS:
                step(self.context, attempt_id)
            completion.publish(self.context, attempt_id)
        except Exception as error:  # noqa: BLE001 - as in the flow: every error is settled
            self.errors.append(error)
            return completion.finish_with_error(self.context, attempt_id, error)
        return "published"

    def publish(self, *, slug: str = "edge", digest: str | None = None) -> UUID:
        """Bring a new image, or this one, all the way; return the publication."""
        ref = f"{REPOSITORY}@{digest or self.images.image()}"
        delivery_id = self.announce(slug=slug, ref=ref)
        assert self.process(delivery_id) == "published"
        publication_id = self.delivery(delivery_id).publication_id
        assert publication_id is not None
        return publication_id

    def delivery(self, delivery_id: UUID) -> Delivery:
        with self.catalog.read_session() as session:
            return session.get_one(Delivery, delivery_id)

    def publication(self, publication_id: UUID | None) -> Publication:
        assert publication_id is not None
        with self.catalog.read_session() as session:
            return session.get_one(Publication, publication_id)

    def publications(self) -> list[Publication]:
        with self.catalog.read_session() as session:
            return list(session.scalars(select(Publication).order_by(Publication.created_at)))

    def find_platform(self, platform_id: UUID) -> NodePlatform:
        with self.catalog.read_session() as session:
            return session.get_one(NodePlatform, platform_id)

    def webhook(self, webhook_id: UUID | None = None) -> Webhook:
        with self.catalog.read_session() as session:
            return session.get_one(Webhook, webhook_id or self.webhook_id)

    def events(self, kind: str | None = None) -> list[Event]:
        """List events in the order they happened; `kind` without its prefix."""
        with self.catalog.read_session() as session:
            found = session.scalars(select(Event).order_by(Event.sequence)).all()
        return [event for event in found if kind is None or event.kind == f"system.disk_image_{kind}"]

    @contextmanager
    def registry_away(self, *what: str) -> Iterator[None]:
        """Let the registry fail on these digests and tags."""
        self.layout.away.update(what)
        yield
        self.layout.away.difference_update(what)


def sign_base64(secret: str, body: bytes) -> str:
    """Sign a body as the tutorial's workflow does."""
    return base64.b64encode(hmac.digest(secret.encode(), body, hashlib.sha256)).decode()


def repository_of(text: str = REPOSITORY) -> Repository:
    host, _, path = text.partition("/")
    return Repository(host, path)
