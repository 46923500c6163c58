"""OCI registries (distribution-spec 1.1): every byte that is trusted, every delete, and pushing.

`OciRegistries` opens registries for services; `Pusher` is for the demo and for tests.
"""

from bootpress.adapters.oci.limits import Limits, Timing
from bootpress.adapters.oci.pools import Network
from bootpress.adapters.oci.push import Config, Layer, Pusher
from bootpress.adapters.oci.registries import OciRegistries
from bootpress.adapters.oci.registry import OciRegistry

__all__ = ["Config", "Layer", "Limits", "Network", "OciRegistries", "OciRegistry", "Pusher", "Timing"]
