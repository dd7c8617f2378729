"""What can be trained: translation models and language models, with their objectives."""

from nmt.tasks.language_model import LanguageModelTask
from nmt.tasks.task import Task
from nmt.tasks.translation import TranslationTask

TASKS: dict[str, type[Task]] = {"translation": TranslationTask, "language_model": LanguageModelTask}
"""By the name that `task` has in the configuration."""
