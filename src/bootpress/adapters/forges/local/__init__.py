"""The embedded forge: `LocalForge` answers, and the process that has its `Keeper` runs the workflows.

Every account has a forge of its own; `Keepers` runs those of all.
"""

from bootpress.adapters.forges.local.forge import LocalForge
from bootpress.adapters.forges.local.keeper import Keeper
from bootpress.adapters.forges.local.keepers import Keepers
from bootpress.adapters.forges.local.orders import Bounds
from bootpress.adapters.forges.local.places import Places, account_folder, account_ids

__all__ = ["Bounds", "Keeper", "Keepers", "LocalForge", "Places", "account_folder", "account_ids"]
