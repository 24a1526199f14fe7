"""Suggestions for options that do not exist."""

from collections.abc import Collection

# Names of our options in other tools and papers.
OTHER_NAMES = {
    "--learning-rate": "--lr",
    "--learning_rate": "--lr",
    "--learningrate": "--lr",
    "--rate": "--lr",
    "--rates": "--lr",
    "--eta": "--lr",
    "--step-size": "--lr",
    "--batch": "--batch-size",
    "--batch_size": "--batch-size",
    "--batches": "--batch-size",
    "--start": "--init",
    "--seeds": "--seed",
    "--iterations": "--epochs",
    "--output": "--out",
    "--expression": "--model",
    "--formula": "--model",
    "--scale": "--standardize",
    "--normalize": "--standardize",
    "--dropna": "--drop-missing",
    "--val": "--validation",
    "--tolerance": "--target",
}


def describe_unknown_option(option: str, known: Collection[str], command: str) -> str:
    """Return a sentence about an option that does not exist, with the one that was probably meant.

    Names that an option has elsewhere come before similar names: "--learning-rate" is --lr, and not --animate, whose
    letters are more alike. A key of a study that has no option is given by --set.
    """
    meant = OTHER_NAMES.get(option, option)
    if meant not in known and "--set" in known:
        from bench.study.schema import field_names  # noqa: PLC0415

        name = meant.removeprefix("--").replace("-", "_")
        tables = ("tune", "run", "data", "grid") if command == "tune" else ("grid", "run", "data")
        if home := next((table for table in tables if name in field_names((table,))), None):
            return f"there is no option {option}; give --set {home}.{name}=VALUE"
    if meant not in known:
        from kernels.base.checks import closest_name  # noqa: PLC0415 (takes half a second, after a mistake only)

        meant = closest_name(option, sorted(known), cutoff=0.7) or ""
    return f"there is no option {option}; did you mean {meant}?" if meant else f"there is no option {option}"
