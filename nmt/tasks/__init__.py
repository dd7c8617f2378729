"""What can be trained, one file for each task. A package of one's own adds a task with `register(TaskKind(...))`."""

from nmt.config.tasks import TaskKind, register

__all__ = ["TaskKind", "register"]
