"""The embedded forge: `LocalForge` answers, and the process that has its `Keeper` runs the workflows."""

from bootpress.adapters.forges.local.forge import LocalForge
from bootpress.adapters.forges.local.keeper import Keeper
from bootpress.adapters.forges.local.orders import Bounds
from bootpress.adapters.forges.local.places import Places

__all__ = ["Bounds", "Keeper", "LocalForge", "Places"]
