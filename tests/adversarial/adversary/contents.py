"""Images under a good signature that do not hold what they say, in the bytes of the manifest or of what it names."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from bootpress.core.errors import ContentRejected
from tests.support.attack_scenarios import AttackScenario, Case
from tests.support.core_harness import Images
from tests.support.layouts import INDEX, MANIFEST, LayoutRegistry

_MIB = 1 << 20
_CONFIG = "application/vnd.bootpress.image.config.v1+json"
_KERNEL = b"a kernel, and nothing but the kernel"
_DEEP = b"[" * 100_000 + b"]" * 100_000
Damage = Callable[[Images, str], None]
Make = Callable[[Images], str]


@dataclass(frozen=True, slots=True)
class Signed:
    """An image that is made, signed by the key that its platform trusts, and then damaged."""

    make: Make
    damage: Damage = lambda _images, _digest: None

    def __call__(self) -> AttackScenario:
        """Make the image, sign it, damage it."""
        images = Images(LayoutRegistry())
        digest = self.make(images)
        images.sign(digest)
        self.damage(images, digest)
        return AttackScenario(images.registry, digest, images.trust)


def cases() -> Iterator[Case]:
    """Yield every case of this family."""
    yield from _blobs()
    yield from _manifests()
    yield from _configs()
    yield from _indexes()


def _plain(images: Images) -> str:
    return images.image(sign=False, layers=[images.blob(_KERNEL, "application/vnd.bootpress.kernel.v1")])


def _case(
    sentence: str,
    reason: str,
    found: Literal["manifest", "blobs"],
    make: Make = _plain,
    damage: Damage = lambda _images, _digest: None,
    honest: Make = _plain,
) -> Case:
    return Case(sentence, Signed(make, damage), Signed(honest), reason, ContentRejected, found)


def _layer(images: Images, digest: str) -> str:
    found: str = json.loads(images.registry.blobs[digest])["layers"][0]["digest"]
    return found


def _replace_layer(content: bytes) -> Damage:
    def apply(images: Images, digest: str) -> None:
        images.registry.blobs[_layer(images, digest)] = content

    return apply


def _lose_layer(images: Images, digest: str) -> None:
    del images.registry.blobs[_layer(images, digest)]


def _of_size(size: int) -> Make:
    """Make an image whose manifest says of its kernel that it has this size."""

    def make(images: Images) -> str:
        blob = images.blob(_KERNEL, "application/vnd.bootpress.kernel.v1") | {"size": size}
        return images.image(sign=False, layers=[blob])

    return make


def _blobs() -> Iterator[Case]:
    other, size = "other bytes than its digest says", len(_KERNEL)
    larger = f"is larger than {size} bytes"
    for sentence, (content, reason) in {
        "a blob whose bytes differ from its digest": (_KERNEL.replace(b"nothing", b"no-one."), other),
        "a blob that is a byte longer than its digest says": (_KERNEL + b" ", larger),
        "a blob that is a byte shorter than its digest says": (_KERNEL[:-1], other),
        "a blob that is empty": (b"", other),
        "a blob that was compressed": (gzip.compress(_KERNEL), larger),
        "a blob that became a bomb": (gzip.compress(bytes(50 * _MIB), 9), larger),
    }.items():
        yield _case(sentence, reason, "blobs", damage=_replace_layer(content))
    yield _case("a blob that is gone", "is not there", "blobs", damage=_lose_layer)
    for sentence, (stated, reason) in {
        "a blob that the manifest makes a byte longer": (size + 1, f"has {size} bytes, not"),
        "a blob that the manifest makes a byte shorter": (size - 1, f"is larger than {size - 1} bytes"),
        "a blob that the manifest makes a terabyte": (1 << 40, f"has {size} bytes, not"),
    }.items():
        yield _case(sentence, reason, "blobs", make=_of_size(stated))
    yield _case("a blob of more than a terabyte", "no size between 0", "manifest", make=_of_size((1 << 40) + 1))


def _document(images: Images, **fields: Any) -> bytes:
    """Write the manifest of an image, with other fields."""
    return json.dumps(json.loads(images.registry.blobs[_plain(images)]) | fields).encode()


def _raw(write: Callable[[Images], bytes]) -> Make:
    return lambda images: images.registry.add(write(images))


def _manifests() -> Iterator[Case]:
    nothing = {"mediaType": "application/octet-stream", "digest": "sha256:" + "0" * 64, "size": 1}
    makes: dict[str, tuple[Callable[[Images], bytes], str]] = {
        "of truncated JSON": (lambda images: _document(images)[:-1], "is not JSON"),
        "that is a list": (lambda images: b"[" + _document(images) + b"]", "a JSON list, not an object"),
        "of 100,000 lists": (lambda _images: _DEEP, "nested too deeply"),
        "of more than 4 MiB": (lambda images: _document(images) + b" " * (4 * _MIB), "larger than"),
        "of an unknown media type": (lambda images: _document(images, mediaType="text/html"), "media type text/html"),
        "of another schema": (lambda images: _document(images, schemaVersion=1), "schemaVersion is not 2"),
        "that is an index too": (lambda images: _document(images, manifests=[]), "has manifests too"),
        "with an object for its layers": (lambda images: _document(images, layers={}), "layers is not a list"),
        "with a list for its config": (lambda images: _document(images, config=[]), "config is not a descriptor"),
        "with a layer that is a list": (lambda images: _document(images, layers=[[]]), "is not a descriptor"),
        "with a size of true": (
            lambda images: _document(images, layers=[nothing | {"size": True}]),
            "no size between 0",
        ),
        "with a digest of another algorithm": (
            lambda images: _document(images, layers=[nothing | {"digest": "md5:" + "0" * 32}]),
            "no sha256 digest",
        ),
        "with 1,001 layers": (lambda images: _document(images, layers=[nothing] * 1001), "has 1001 layers"),
        "that gives one digest two sizes": (
            lambda images: _document(images, layers=[nothing, nothing | {"size": 2}]),
            "two sizes",
        ),
        "with a member twice": (
            lambda images: _document(images)[:-1] + b',"schemaVersion":2}',
            "twice",
        ),
    }
    for sentence, (write, reason) in makes.items():
        yield _case(f"a manifest {sentence}", reason, "manifest", make=_raw(write))
    yield _case("a manifest that is gone", "is not there", "manifest", damage=_lose)
    yield _case("a manifest whose bytes differ from its digest", "other bytes", "manifest", damage=_pad)


def _lose(images: Images, digest: str) -> None:
    del images.registry.blobs[digest]


def _pad(images: Images, digest: str) -> None:
    images.registry.blobs[digest] += b" "


def _configured(config: bytes) -> Make:
    return lambda images: images.image(sign=False, config=config, config_type=_CONFIG)


def _configs() -> Iterator[Case]:
    honest = _configured(b'{"architecture": "amd64"}')
    for sentence, (config, reason) in {
        "a config of truncated JSON": (b'{"architecture":', "the image's config"),
        "a config that is a list": (b'[{"architecture": "amd64"}]', "the image's config"),
        "a config of 100,000 lists": (_DEEP, "the image's config"),
        "a config with a list for its architecture": (b'{"architecture": ["amd64"]}', "no text"),
        "a config of another architecture": (b'{"architecture": "arm64"}', "the image is for arm64"),
        "a config of more than a MiB": (b'{"a": "' + b" " * _MIB + b'"}', f"over {_MIB}"),
    }.items():
        yield _case(sentence, reason, "manifest", make=_configured(config), honest=honest)


def _pair(images: Images) -> str:
    """Make an index of two images, one of them for the platform."""
    return _index(images, _children(images, [("amd64", _plain(images)), ("arm64", _other(images))]))


def _other(images: Images) -> str:
    kernel = images.blob(b"a kernel for another machine", "application/vnd.bootpress.kernel.v1")
    return images.image(sign=False, layers=[kernel])


def _children(images: Images, by_arch: Any) -> list[dict[str, Any]]:
    return [
        {
            "mediaType": MANIFEST,
            "digest": digest,
            "size": len(images.registry.blobs[digest]),
            "platform": {"architecture": arch, "os": "linux"},
        }
        for arch, digest in by_arch
    ]


def _index(images: Images, manifests: Any) -> str:
    return images.registry.add_json({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests})


def _indexes() -> Iterator[Case]:
    makes: dict[str, tuple[Make, str]] = {
        "an oversized index": (
            lambda images: _index(images, _children(images, [("amd64", _plain(images))] * 1001)),
            "has 1001 manifests",
        ),
        "an index of 33 manifests": (
            lambda images: _index(images, _children(images, [(f"a{n}", _plain(images)) for n in range(33)])),
            "names 33 manifests",
        ),
        "an index that names another index": (
            lambda images: _index(images, _children(images, [("amd64", _pair(images))])),
            "names another index",
        ),
        "an index of two images for one architecture": (
            lambda images: _index(images, _children(images, [("amd64", _plain(images)), ("x86_64", _other(images))])),
            "2 manifests for amd64",
        ),
        "an index without the platform's architecture": (
            lambda images: _index(images, _children(images, [("arm64", _plain(images))])),
            "no manifest for amd64",
        ),
        "an index that makes a manifest longer than it is": (
            lambda images: _index(images, [_children(images, [("amd64", _plain(images))])[0] | {"size": 7}]),
            "the index says 7 bytes",
        ),
        "an index with an object for its manifests": (lambda images: _index(images, {}), "manifests is not a list"),
        "an index of nothing": (lambda images: _index(images, []), "no manifest for amd64"),
    }
    for sentence, (make, reason) in makes.items():
        yield _case(sentence, reason, "manifest", make=make, honest=_pair)
    yield _case(
        "an index whose other architecture has a blob of other bytes",
        "other bytes than its digest says",
        "blobs",
        make=_pair,
        damage=_damage_other,
        honest=_pair,
    )


def _damage_other(images: Images, digest: str) -> None:
    other = json.loads(images.registry.blobs[digest])["manifests"][1]["digest"]
    images.registry.blobs[_layer(images, other)] = b"a kernel for another machina"
