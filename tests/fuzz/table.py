"""Files given as tables: all values finite, or refused in one line that names the file."""

import io

import numpy as np
import pandas as pd

from sgdbench.data import load_table
from sgdbench.data.batches import column_headings
from tests.fuzz.harness import Target, mutations, refusal

TEXTS = [
    "x,y\n1,2\n3.5e-3,-4\n",
    "Engine Power (PS);mpg\n1,5;2,25\n3;4\n",
    "x\ty\tname\n1\t2\tab c\n3\t-\tNA\n",
    '"x, of all",y\n"1",2\n,3\n\n4,nan\n',
    "\ufeffx,y\r\n1,2\r\n",
    "x,y\nTrue,1\n false,2\n,3\n",
]
PIECES = ["\n", ",", ";", "\t", '"', '""', "\r", "1e999", "-0.0", "nan", "inf", "1.234,5", "1_000", "\u0661"]
PIECES += ["\u00a0", "\0", "NA", " ", "0x1p3", "x,y\n", "=1+1", "1" * 400, ",1" * 50, "\n,\n", "'", "\\", "\ufeff"]
PIECES += ["\u2028", "true", "1e-400"]


def parquet(frame):
    """The bytes of a Parquet file."""
    content = io.BytesIO()
    frame.to_parquet(content, index=False)
    return content.getvalue()


def make_target(place):
    """Return the target; the first byte of an input says what the file is called."""
    frames = [
        pd.DataFrame({"x": np.arange(20.0), "y": np.arange(20)}),
        pd.DataFrame({"x": [1.0, None, 3.0], "y": [True, False, True], "z": ["a", "b", "a"]}),
    ]
    corpus = [bytes([text.count("\t") > 1]) + text.encode() for text in TEXTS]
    corpus += [b"\2" + parquet(frame) for frame in frames]
    paths = [place / f"table{suffix}" for suffix in (".csv", ".tsv", ".parquet")]

    def examine(data):
        path = paths[data[0] % 3 if data else 0]
        path.write_bytes(data[1:])
        headings = refusal(lambda: column_headings(path), ValueError)
        if headings is None:
            return "refused"
        x, y = (headings * 2)[:2] if len(headings) > 1 else ("x", "y")
        outcome = "refused"
        for drop in (False, True):
            data = refusal(lambda drop=drop: load_table(path, x, y, drop_missing=drop), ValueError)
            if data is not None:
                assert data.x.shape == (data.y.size, 1)
                assert data.y.size
                assert np.isfinite(data.x).all()
                assert np.isfinite(data.y).all()
                outcome = "accepted"
        return outcome

    return Target(mutations(corpus, [piece.encode() for piece in PIECES]), examine, corpus)
