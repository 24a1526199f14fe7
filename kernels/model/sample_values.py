"""The values of a program that depend on samples alone, which runs side by side share: x*x in a*x**2 + b*x + c."""

from sgdbench.kernels.model.program import Instruction, Program


def split_program(program: Program) -> tuple[Program, Program]:
    """Split a program into the values that depend on samples alone, and the residual that takes them as inputs.

    Both compute the same operations in the same order as the program itself.

    Returns
    -------
    of_samples : Program
        Without parameters. Its derivatives are the values that the residual needs.
    residual : Program
        Without derivatives. Its last inputs are these values.
    """
    params, inputs = program.params, program.inputs
    first = params + inputs + 1 + len(program.constants)
    instructions = dict(enumerate(program.instructions, start=first))
    by_run, by_sample = set(range(params)), set(range(params, params + inputs + 1))
    for value, instruction in instructions.items():
        by_run |= {value} if by_run.intersection(instruction.operands) else set()
        by_sample |= {value} if by_sample.intersection(instruction.operands) else set()
    needed = {program.residual}
    for value in reversed(instructions):
        needed |= set(instructions[value].operands) if value in needed else set()
    used = {operand for value in by_run & needed & set(instructions) for operand in instructions[value].operands}
    shared = sorted((used | {program.residual}) & by_sample & set(instructions) - by_run)

    alone = {value: instructions[value] for value in instructions if value in needed - by_run}
    places = {value: value - params for value in range(params, first)}
    numbered = _renumber(alone, places, first - params)
    of_samples = Program(0, inputs, program.constants, numbered, 0, tuple(places[value] for value in shared))

    rest = {value: instructions[value] for value in instructions if value in needed - set(shared)}
    rest = {value: instruction for value, instruction in rest.items() if value in by_run or value not in by_sample}
    places = {value: value + (len(shared) if value >= params + inputs else 0) for value in range(first)}
    places |= {value: params + inputs + place for place, value in enumerate(shared)}
    numbered = _renumber(rest, places, first + len(shared))
    residual = Program(params, inputs + len(shared), program.constants, numbered, places[program.residual], ())
    return of_samples, residual


def _renumber(instructions: dict[int, Instruction], places: dict[int, int], first: int) -> tuple[Instruction, ...]:
    """Return instructions with operands mapped by `places`, to which their own values are added from `first` on."""
    numbered = []
    for place, (value, (function, operands)) in enumerate(instructions.items(), start=first):
        numbered.append(Instruction(function, tuple(places[operand] for operand in operands)))
        places[value] = place
    return tuple(numbered)
