"""Prefect blocks: what we talk to, with its secrets."""

from blocks.registry import OciRegistry

BLOCKS = (OciRegistry,)


def register_blocks() -> None:
    """Tell the Prefect server about our block types, so that its UI shows and edits them."""
    for block in BLOCKS:
        block.register_type_and_schema()
