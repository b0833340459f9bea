"""Jobs as containers, where a container engine is there: the image itself, for runtimes of kind ``container``."""

from mlparity.engine.container.executor import ContainerExecutor

__all__ = ["ContainerExecutor"]
