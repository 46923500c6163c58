"""`bootpress demo`: the life of one image, and the way of a build, on real parts in a scratch home."""

from bootpress.stack.demo.run import demo

__all__ = ["demo"]
