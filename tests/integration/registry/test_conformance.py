"""The adapter on a real registry, and the fake that other tests use in its place, pass the same tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from bootpress.adapters.oci import Pusher
from bootpress.core.ports import Descriptor, Registry
from bootpress.core.references import Repository
from tests.support.conformance_registry import RegistryConformance, raw_json
from tests.support.layouts import LayoutRegistry


@dataclass
class WireShelf:
    registry: Registry
    repository: Repository
    pusher: Pusher

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

    def put_blob(self, content: bytes) -> Descriptor:
        return Descriptor("application/octet-stream", self.registry.add(content), len(content))

    def put_manifest(self, document: dict[str, Any], *, tag: str | None = None) -> Descriptor:
        raw = raw_json(document)
        return Descriptor(document["mediaType"], self.registry.add(raw, tag=tag), len(raw))


class TestTheAdapter(RegistryConformance):
    @pytest.fixture
    def shelf(self, registry: Registry, repository: Repository, pusher: Pusher) -> WireShelf:
        return WireShelf(registry, repository, pusher)


class TestTheLayout(RegistryConformance):
    @pytest.fixture
    def shelf(self) -> LayoutShelf:
        return LayoutShelf(LayoutRegistry(), Repository("127.0.0.1:5000", "os/images"))
