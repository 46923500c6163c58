"""Prefect blocks: what we talk to, with its secrets."""

from blocks.forges import GiteaForge, LocalForge
from blocks.registry import OciRegistry

BLOCKS = (OciRegistry, GiteaForge, LocalForge)


def register_blocks() -> None:
    """Tell the Prefect server about our block types, so that its UI shows and edits them."""
    for block in BLOCKS:
        block.register_type_and_schema()
