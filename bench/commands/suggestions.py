"""What somebody who typed an option that does not exist may have meant."""

from collections.abc import Collection

# What other tools, papers and people call our options.
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


def describe_unknown_option(option: str, known: Collection[str]) -> str:
    """Return a sentence about an option that does not exist, with the one that was meant where that can be told.

    What an option is called elsewhere comes before what its name looks like: "--learning-rate" is --lr, and not
    --animate, whose letters are more alike.
    """
    meant = OTHER_NAMES.get(option)
    if meant not in known:
        from kernels.base.checks import closest_name  # noqa: PLC0415 (takes half a second, after a mistake only)

        meant = closest_name(option, sorted(known), cutoff=0.7)
    return f"there is no option {option}; did you mean {meant}?" if meant else f"there is no option {option}"
