"""OCI registries (distribution-spec 1.1): every byte that is trusted, every delete, and pushing.

`OciRegistries` opens registries for services; `Pusher` is for the demo and for tests.
"""

from bootpress.adapters.oci.connection_pools import Network
from bootpress.adapters.oci.limits import Limits
from bootpress.adapters.oci.push import Config, Layer, Pusher
from bootpress.adapters.oci.registries import OciRegistries
from bootpress.adapters.oci.registry import OciRegistry
from bootpress.http_client.clock import Clock

__all__ = ["Clock", "Config", "Layer", "Limits", "Network", "OciRegistries", "OciRegistry", "Pusher"]
