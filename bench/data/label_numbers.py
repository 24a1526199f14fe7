"""The labels of a target column as numbers, piece by piece."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute

from sgdbench.data.text_table import MISSING_WORDS
from sgdbench.kernels.base.run import Floats


class LabelNumbers:
    """The labels of a column, numbered 0, 1, ... in order of appearance.

    In text files, `labels` also include words that stand for a missing label.
    """

    def __init__(self) -> None:
        self.labels: list[Any] = []
        self._numbers: dict[str, int] = {}
        self._words: set[str] = set()  # words that stand for missing labels

    @property
    def present(self) -> list[Any]:
        """The labels without the words for missing ones."""
        missing = self._missing()
        return [label for label in self.labels if label not in missing]

    def add(self, column: pa.Array | pa.ChunkedArray, *, text: bool) -> Floats:
        """Return the number of the label in each row, nan if there is none.

        Labels of a `text` file may be surrounded by spaces, and words such as NA stand for a missing label.
        """
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if text:
            column = pa.compute.utf8_trim_whitespace(column)
        if isinstance(column, pa.ChunkedArray):
            column = column.combine_chunks()
        coded = column.dictionary_encode()
        labels = coded.dictionary.to_pylist()
        for label in labels:  # in a folder, True in one file may be the word "True" in another
            if str(label) not in self._numbers:
                self._numbers[str(label)] = len(self.labels)
                self.labels.append(label)
        self._words |= set(labels).intersection(MISSING_WORDS) if text else set()
        missing = self._missing()
        numbers = [np.nan if label in missing else self._numbers[str(label)] for label in labels]
        places = coded.indices.fill_null(len(labels)).to_numpy(zero_copy_only=False)
        codes: Floats = np.array([*numbers, np.nan])[places]
        return codes

    def _missing(self) -> set[str]:
        # "-" is a label if "+" is one too.
        return self._words - {"-"} if "+" in self._numbers else self._words


def is_label(kind: pa.DataType) -> bool:
    """Return whether values of a type are texts or bools."""
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    kinds = (pa.types.is_boolean, pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    return any(is_kind(kind) for is_kind in kinds)
