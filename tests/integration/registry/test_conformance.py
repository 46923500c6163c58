"""The adapter on every kind of real registry, and the fake that other tests use in its place, pass the same tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from bootpress.adapters.oci import Pusher
from bootpress.core.ports import Descriptor, Registry
from bootpress.core.references import Repository
from tests.support.conformance_registry import RegistryConformance, raw_json
from tests.support.layouts import LayoutRegistry
from tests.support.registries import RunningRegistry, everywhere


@dataclass
class WireShelf:
    registry: Registry
    repository: Repository
    pusher: Pusher
    has_referrers_api: bool
    drops_tags: bool

    def put_blob(self, content: bytes) -> Descriptor:
        return self.pusher.push_blob(self.repository, content)

    def put_manifest(self, document: dict[str, Any], *, tag: str | None = None) -> Descriptor:
        raw, media_type = raw_json(document), document["mediaType"]
        return Descriptor(
            media_type, self.pusher.push_manifest(self.repository, raw, media_type=media_type, tag=tag), len(raw)
        )


@dataclass
class LayoutShelf:
    registry: LayoutRegistry
    repository: Repository
    has_referrers_api: bool = False
    drops_tags: bool = True

    def put_blob(self, content: bytes) -> Descriptor:
        return Descriptor("application/octet-stream", self.registry.add(content), len(content))

    def put_manifest(self, document: dict[str, Any], *, tag: str | None = None) -> Descriptor:
        raw = raw_json(document)
        return Descriptor(document["mediaType"], self.registry.add(raw, tag=tag), len(raw))


@everywhere("place")
class TestTheAdapter(RegistryConformance):
    @pytest.fixture
    def shelf(self, place: RunningRegistry, registry: Registry, repository: Repository, pusher: Pusher) -> WireShelf:
        return WireShelf(registry, repository, pusher, place.has_referrers_api, place.drops_tags)


class TestTheLayout(RegistryConformance):
    @pytest.fixture
    def shelf(self) -> LayoutShelf:
        return LayoutShelf(LayoutRegistry(), Repository("127.0.0.1:5000", "os/images"))
