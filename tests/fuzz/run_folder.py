"""Folders of runs with a file that is not what was written: read with a warning, or refused in one line.

Half of the files have the right checksum, as if a program that has gone wrong had written them.
"""

import warnings
from contextlib import suppress

import pandas as pd

from sgdbench.kernels.base.checksum import add_checksum
from sgdbench.store.evidence import EVIDENCE_COLUMNS, store_tables
from sgdbench.store.run_folder import read_identity
from sgdbench.store.seal import name_owner
from tests.drills.flips import files_of, resume, what_is_read, write_study
from tests.fuzz.harness import Target, mutations, refusal

# Four runs of four epochs, without a kernel that has to be compiled.
STUDY = """
name = "fuzzed"
data = { path = "table.csv", x = ["x"], y = "y" }
model.expression = "a*x**2 + b*x + c"
grid.lr = [0.05, 0.2]
grid.seed = [0, 1]
grid.init.near = [0.0, 0.0, 0.0]
run = { epochs = 4, target = 0.02, kernel = "reference", confirm = 0 }
"""
PIECES = [b"\0", b'"', b"{", b"}", b"[" * 200, b"null", b"1e999", b"PAR1", b"sgdbench-sha256-", b"\xff\xff\xff\x7f"]
PIECES += [b"\x80" * 8, b"config_id", b"param_a", b"start_a", b"DOUBLE", b"lr", b"-1", b"\x00\x00\x00\x80"]
PIECES += [b'"format": "4"', b", ", b"../", b"\n"]


def make_target(place):
    """Return the target; an input is the number of a file, whether it is sealed, and its content."""
    study, folder = write_study(place, STUDY), place / "run"
    resume(place, study)
    store_tables(folder, costs=pd.DataFrame([dict.fromkeys(sorted(EVIDENCE_COLUMNS["costs"]), 1e-9)]))
    names, owner = files_of(folder), name_owner(read_identity(folder))
    whole = {name: (folder / name).read_bytes() for name in names}
    expected = what_is_read(folder)

    def examine(data):
        name = names[(data[0] if data else 0) % len(names)]
        path, content = folder / name, data[2:]
        sealed = data[1:2] > b"\x7f"
        if sealed:
            with suppress(ValueError):  # without room for a checksum it gets none
                content = add_checksum(content, b"" if name.name == "sgdbench.json" else owner)
        try:
            path.write_bytes(content)
            with warnings.catch_warnings(record=True) as told:
                warnings.simplefilter("always")
                found = refusal(lambda: what_is_read(folder), ValueError, OSError)
        finally:
            path.unlink()
            (folder / name).write_bytes(whole[name])
        if found is None:
            return "refused"
        if found == expected:
            return "same"
        assert sealed or told, "something is missing or different, and nothing is said"
        assert all(len(str(warning.message).splitlines()) == 1 for warning in told)
        return "warned" if told else "other, with its checksum"

    corpus = [bytes([number, seal]) + whole[name] for number, name in enumerate(names) for seal in (0, 255)]
    return Target(mutations(corpus, PIECES), examine, corpus)
