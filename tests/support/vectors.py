"""The recorded signatures of tests/assets/vectors: cases, layouts, policies."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bootpress.core.platforms.trust import KeylessTrust, KeysTrust, trust_policy
from bootpress.core.references import Repository
from tests.support.layouts import LayoutRegistry

VECTORS = Path(__file__).parents[1] / "assets" / "vectors"


@dataclass(frozen=True, slots=True)
class Vector:
    """One recorded case."""

    name: str
    digest: str
    is_good: bool
    trust: dict[str, Any]
    """As an operation takes it: keys as PEM, the trusted root as an object."""
    path: Path
    """The OCI layout."""

    @property
    def repository(self) -> Repository:
        """Return a repository for it; the signatures bind the digest alone."""
        return Repository("127.0.0.1:5000", f"public/{self.name}")

    @property
    def policy(self) -> KeylessTrust | KeysTrust:
        """Return the trust policy."""
        return trust_policy.validate_python(self.trust)

    def open(self) -> LayoutRegistry:
        """Return a registry of its own to change."""
        return LayoutRegistry(self.path)


def load_vectors() -> dict[str, Vector]:
    """Read all cases, by name."""
    cases: dict[str, dict[str, Any]] = json.loads((VECTORS / "cases.json").read_bytes())
    return {
        name: Vector(name, case["digest"], case["expect"] == "ok", _resolve(case["trust"]), VECTORS / name)
        for name, case in cases.items()
    }


def trusted_root() -> dict[str, Any]:
    """Return the trusted root of the services that signed."""
    root: dict[str, Any] = json.loads((VECTORS / "trusted_root.json").read_bytes())
    return root


def _resolve(trust: dict[str, Any]) -> dict[str, Any]:
    if trust["mode"] == "keys":
        return trust | {"public_keys": [(VECTORS / name).read_text() for name in trust["public_keys"]]}
    return trust | {"trusted_root": trusted_root()}
