"""Two examples of each command, at the end of its help."""

EXAMPLES = {
    "fit": (
        'sgdbench fit quadratic --model "a*x**2 + b*x + c" --lr 0.5',
        'sgdbench fit cars.csv --x hp --y mpg --model "a*hp + b" --standardize',
    ),
    "run": (
        "sgdbench run quadratic --optimizer sgd,adam --seed 0-4",
        'sgdbench run cars.csv --x hp --y mpg --model "a*hp + b"',
    ),
    "tune": (
        "sgdbench tune quadratic --trials 500",
        "sgdbench tune auto-mpg --trials 2000 --sampler cmaes --optimizer 'adam(beta1=log1m:0.5:0.99)'",
    ),
    "new": (
        "sgdbench new cars.csv --y mpg",
        'sgdbench new cars.csv --y mpg --x hp --model "a*hp**2 + b*hp + c" --out mine.toml',
    ),
    "schema": (
        "sgdbench schema",
        "sgdbench schema > schema.md",
    ),
    "speed": (
        "sgdbench speed",
        "sgdbench speed auto-mpg --only fused,lanes,C --seconds 5",
    ),
    "compare": (
        "sgdbench compare fused fused-fma",
        "sgdbench compare results/before results/after --gate 1.05",
    ),
    "report": (
        "sgdbench report results/quadratic",
        "sgdbench report results/before results/after --out both.html",
    ),
    "studies": (
        "sgdbench studies",
        "sgdbench studies | sort",
    ),
    "info": (
        "sgdbench info",
        "sgdbench info > machine.txt",
    ),
}


def help_ending(command: str) -> str:
    """Return the examples of a command as the end of its help."""
    # Without the mark, the lines would be filled up like a paragraph.
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in EXAMPLES[command])
