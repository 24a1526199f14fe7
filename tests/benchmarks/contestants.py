"""Who takes part in a benchmark: the variants that can, and why the others do not."""

from collections import defaultdict

# By the name of a variant, the reasons that were found.
ABSENT: dict[str, set[str]] = defaultdict(set)


def contestants(problem, variants):
    """Return those of the variants that are installed and take a problem.

    Nothing is collected that would only be skipped: who is missing, and why, is said once, after the tables.
    """
    taking_part = []
    for variant in variants:
        if reason := variant.missing() or variant.lacks(problem):
            ABSENT[variant.name].add(reason)
        else:
            taking_part.append(variant)
    return taking_part
