"""The embedded forge: `LocalForge` answers, and the process that has its `RunScheduler` runs the workflows.

Every account has a forge of its own; `RunSchedulers` runs those of all.
"""

from bootpress.adapters.forges.embedded.execution.run_config import RunLimits
from bootpress.adapters.forges.embedded.execution.scheduler import RunScheduler
from bootpress.adapters.forges.embedded.execution.schedulers import RunSchedulers
from bootpress.adapters.forges.embedded.forge import LocalForge
from bootpress.adapters.forges.embedded.repository.layout import ForgeLayout, account_folder, account_ids

__all__ = ["ForgeLayout", "LocalForge", "RunLimits", "RunScheduler", "RunSchedulers", "account_folder", "account_ids"]
