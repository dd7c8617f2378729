"""Translation of a column of a table, batch by batch, as Ray Data's `map_batches` asks for it (docs/cluster.md)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nmt.errors import UserError
from nmt.translation.translator import Translator


class ColumnTranslator:
    """Adds the translations of a column of text to each batch of a table. The model is loaded once, at the start."""

    def __init__(
        self,
        model: str | Path,
        column: str = "text",
        to: str = "translation",
        *,
        device: str = "cpu",
        threads: int | None = 1,
        **options: Any,
    ) -> None:
        """Open a model; raises UserError as `Translator.load` does.

        Parameters:
            column: the column of the texts; a missing text counts as a blank one
            to: the column of the translations
            options: those of `Translator.translate`, such as `beam_size` and `glossary`
        """
        self._translator = Translator.load(model, device=device, threads=threads)
        self._column, self._to, self._options = column, to, options

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """The columns of a batch and the new one. Raises UserError when the column is not there or is no text."""
        if self._column not in batch:
            raise UserError(f"there is no column `{self._column}`; the columns are {', '.join(batch)}")
        texts = ["" if text is None else text for text in batch[self._column]]
        for text in texts:
            if not isinstance(text, str):
                raise UserError(f"the column `{self._column}` must be text, but has {text!s:.50}")
        translations = self._translator.translate(texts, **self._options)
        return {**batch, self._to: [translation.text for translation in translations]}
