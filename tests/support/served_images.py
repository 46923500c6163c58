"""A signed image as a registry serves it, behind a gate that wants a credential, each part ready to be misserved.

    served = ServedImage(home, elsewhere)
    served.on("kernel", answer(404))
    …
    served.mend()

The parts, in the order an ingest asks for them: `tag`, `manifest`, `config`, `api` (the referrers API, which honestly
is not there), `referrers` (the fallback tag), `signature`, `bundle`, `kernel`. The config is read twice.
"""

from __future__ import annotations

import json
import random
import threading
from base64 import b64encode

from bootpress.adapters.oci.manifests import digest_of
from bootpress.core.ports import RegistryConnection
from tests.support.core_harness import Images
from tests.support.hostile_registry import Behaviour, Exchange, HostileRegistry, answer, demand, manifest, ranged
from tests.support.layouts import LayoutRegistry

REPOSITORY = "/v2/os/images"
USER, SECRET = "robot", "s3cret-of-the-connection"
BASIC = f"Basic {b64encode(f'{USER}:{SECRET}'.encode()).decode()}"
KERNEL = random.Random(2).randbytes(400_000)  # noqa: S311 - the same bytes each time
CONFIG = b'{"architecture":"amd64"}'
CONFIG_TYPE = "application/vnd.bootpress.image.config.v1+json"
REQUESTS = 11
"""What an honest ingest asks: the tag twice, as the first request carries no credential."""


class AuthGate:
    """Lets in who brings one of `accepted` as Authorization, and asks the others for it; both may be changed."""

    def __init__(self, challenge: str, *accepted: str) -> None:
        self.challenge, self.accepted = challenge, set(accepted)

    def before(self, *behaviours: Behaviour) -> Behaviour:
        """Return behaviours of which each who is let in gets the next, and the last stays."""
        script, lock = list(behaviours), threading.Lock()

        def behave(exchange: Exchange) -> None:
            with lock:
                if exchange.request.authorization not in self.accepted:
                    chosen = demand(self.challenge)
                else:
                    chosen = script.pop(0) if len(script) > 1 else script[0]
            chosen(exchange)

        return behave


class ServedImage:
    """One image, signed as cosign 3 does it, at `home`; `elsewhere` is another origin that serves nothing yet."""

    def __init__(
        self,
        home: HostileRegistry,
        elsewhere: HostileRegistry,
        *,
        host: str | None = None,
        plain_http: bool = False,
        kernel: bytes = KERNEL,
    ) -> None:
        self.home, self.elsewhere, self._kernel = home, elsewhere, kernel
        self.host, self._plain_http = host or home.host, plain_http
        self.layout = LayoutRegistry()
        self.images = Images(self.layout)
        self.digest = self._make(kernel)
        self._parts = self._name_parts()
        self.mend()

    @property
    def repository(self) -> str:
        """Return the repository as platforms and announcements name it."""
        return f"{self.host}/os/images"

    @property
    def connection(self) -> RegistryConnection:
        """Return a connection with the credential that the gate wants."""
        return RegistryConnection("home", self.host, USER, SECRET, plain_http=self._plain_http)

    def path(self, part: str) -> str:
        """Return where a part is asked for."""
        return self._parts[part][0]

    def content(self, part: str) -> bytes:
        """Return the right bytes of a part."""
        return self.layout.blobs[self._parts[part][1]]

    def honest(self, part: str) -> Behaviour:
        """Return what a good registry answers for a part."""
        return answer(404) if part == "api" else _serve(self.content(part))

    def on(self, part: str, *behaviours: Behaviour) -> None:
        """Say what happens to the requests for a part, one after the other, once the gate has let them in."""
        self.home.on(self.path(part), self.gate.before(*behaviours))

    def mend(self) -> None:
        """Serve everything as a good registry does."""
        self.gate = AuthGate('Basic realm="images"', BASIC)
        self.layout.tags["v1"] = self.digest
        self.serve()

    def serve(self) -> None:
        """Serve what is there now, behind the gate as it is now."""
        for digest, content in self.layout.blobs.items():
            kind = "manifests" if _media_type(content) else "blobs"
            self.home.on(f"{REPOSITORY}/{kind}/{digest}", self.gate.before(_serve(content)))
        for tag, digest in self.layout.tags.items():
            self.home.on(f"{REPOSITORY}/manifests/{tag}", self.gate.before(_serve(self.layout.blobs[digest])))
        self.home.on(self.path("api"), self.gate.before(answer(404)))
        self.home.on("/v2/", self.gate.before(answer(200, {})))

    def move_tag(self, *, sign: bool) -> str:
        """Let the tag name another image from now on; return its digest."""
        moved = self._make(self._kernel[::-1], sign=sign)
        self.serve()
        return moved

    def wrap_in_index(self) -> None:
        """Let the tag name a signed index with the image, which is the part `child` then, as its only manifest."""
        child = self.digest
        self.digest = self.images.index({"amd64": child}, tag="v1")
        self._parts = {**self._name_parts(), "child": (f"{REPOSITORY}/manifests/{child}", child)}
        self.mend()

    def _make(self, kernel: bytes, *, sign: bool = True) -> str:
        return self.images.image(
            tag="v1",
            sign=sign,
            config=CONFIG,
            config_type=CONFIG_TYPE,
            layers=[self.images.blob(kernel, "application/vnd.bootpress.kernel.v1")],
        )

    def _name_parts(self) -> dict[str, tuple[str, str]]:
        fallback = self.digest.replace(":", "-")
        listed = self.layout.tags[fallback]
        [entry] = json.loads(self.layout.blobs[listed])["manifests"]
        kernel = digest_of(self._kernel)
        [bundle] = json.loads(self.layout.blobs[entry["digest"]])["layers"]
        return {
            "tag": (f"{REPOSITORY}/manifests/v1", self.digest),
            "manifest": (f"{REPOSITORY}/manifests/{self.digest}", self.digest),
            "api": (f"{REPOSITORY}/referrers/{self.digest}", ""),
            "referrers": (f"{REPOSITORY}/manifests/{fallback}", listed),
            "signature": (f"{REPOSITORY}/manifests/{entry['digest']}", entry["digest"]),
            "bundle": (f"{REPOSITORY}/blobs/{bundle['digest']}", bundle["digest"]),
            "config": (f"{REPOSITORY}/blobs/{digest_of(CONFIG)}", digest_of(CONFIG)),
            "kernel": (f"{REPOSITORY}/blobs/{kernel}", kernel),
        }


def _serve(content: bytes) -> Behaviour:
    media_type = _media_type(content)
    return manifest(content, media_type=media_type) if media_type else ranged(content)


def _media_type(content: bytes) -> str | None:
    """Return what a manifest or index says it is; None for a blob."""
    document = json.loads(content) if content[:1] == b"{" else {}
    return str(document["mediaType"]) if "schemaVersion" in document else None
