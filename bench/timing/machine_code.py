"""Assembly as data: the instructions of a loop, what they read and write, and the chain from one turn to the next.

It reads what LLVM prints for x86-64, in the syntax of AT&T: the operand that is written stands last. An instruction
that is not known by name counts as one that takes a cycle, so that what is computed is a bound from below.
"""

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

BYTES = 8
"""Of a sample's input, in the arrays that a kernel reads."""
# The turns over which the length of a chain is taken: a multiple of small periods.
TURNS = 24

_OPERANDS = re.compile(r",\s*(?![^()]*\))")
_MEMORY = re.compile(r"^(?:%\w+:)?(?P<offset>[^(]*)\((?P<base>%\w+)?(?:,(?P<index>%\w+)(?:,(?P<scale>\d))?)?\)")
_LABEL = re.compile(r"^([\w.$\"]+):")
_ARITHMETIC = {
    "add": re.compile(r"v?(add|sub)[sp][sd]"),
    "multiply": re.compile(r"v?mul[sp][sd]"),
    "fma": re.compile(r"vfn?m(add|sub)\d*[sp][sd]"),
    "divide": re.compile(r"v?div[sp][sd]"),
    "sqrt": re.compile(r"v?sqrt[sp][sd]"),
}
_MOVE = re.compile(r"(v?mov(?!msk)|vbroadcast)\w*")
_IN_PLACE = re.compile(r"vfn?m|vperm[ti]2|vpternlog")
_WRITES_NOTHING = re.compile(r"cmp|test|bt|v?u?comis|vptest|vtest|ktest|kortest|j|prefetch|push|nop|ud2")
_LETTERS = {"ax": "a", "bx": "b", "cx": "c", "dx": "d", "si": "si", "di": "di", "bp": "bp", "sp": "sp"}
_LETTERS |= {"al": "a", "bl": "b", "cl": "c", "dl": "d", "sil": "si", "dil": "di", "bpl": "bp", "spl": "sp"}


class Memory(NamedTuple):
    """An operand in memory: its text, and the registers of its address."""

    text: str
    base: str
    counter: str
    scale: int


class Instruction(NamedTuple):
    """An instruction: its name, and its operands as they are printed."""

    name: str
    operands: tuple[str, ...]

    @property
    def kind(self) -> str:
        """One of "add", "multiply", "fma", "divide" and "sqrt" of floats; or "move", "jump", "call" and "other"."""
        for kind, pattern in _ARITHMETIC.items():
            if pattern.fullmatch(self.name):
                return kind
        if self.name.startswith("call"):
            return "call"
        if self.name.startswith("j"):
            return "jump"
        return "move" if _MOVE.fullmatch(self.name) else "other"

    @property
    def is_scalar(self) -> bool:
        """Whether it computes with one float."""
        return self.kind in _ARITHMETIC and self.name[-2] == "s"

    @property
    def width(self) -> int:
        """The bits of its widest register."""
        sizes = {"z": 512, "y": 256, "x": 128}
        return max((sizes[letter] for letter in re.findall(r"%([xyz])mm", " ".join(self.operands))), default=64)

    @property
    def memory(self) -> list[Memory]:
        """Its operands in memory."""
        found = [(operand, _MEMORY.match(operand)) for operand in self.operands]
        return [
            Memory(text, _register(at["base"] or ""), _register(at["index"] or ""), int(at["scale"] or 1))
            for text, at in found
            if at
        ]

    def reads(self, frame: frozenset[str]) -> set[str]:
        """Return the registers it needs, and the places on the stack, of which `frame` has the registers."""
        if self._is_zero or not self.operands:
            return set()
        needed = {register for at in self.memory for register in (at.base, at.counter) if register}
        sources = self.operands if self._reads_target else self.operands[:-1]
        return needed | {name for operand in sources for name in _values(operand, frame)} | set(self._masks)

    def writes(self, frame: frozenset[str]) -> set[str]:
        """Return the register, or the place on the stack, that it writes."""
        if not self.operands or _WRITES_NOTHING.match(self.name):
            return set()
        return _values(self.operands[-1], frame)

    @property
    def step(self) -> tuple[str, int] | None:
        """The register that it moves on by a constant, and by how much."""
        name, operands = self.name.rstrip("lq"), self.operands
        if name in {"inc", "dec"}:
            return _register(operands[0]), 1 if name == "inc" else -1
        if name in {"add", "sub"} and re.fullmatch(r"\$-?\d+", operands[0]):
            return _register(operands[1]), int(operands[0][1:]) * (1 if name == "add" else -1)
        if self.name.startswith("lea"):
            at = _MEMORY.match(operands[0])
            if at and at["base"] == operands[1] and not at["index"] and re.fullmatch(r"-?\d+", at["offset"]):
                return _register(operands[1]), int(at["offset"])
        return None

    @property
    def _masks(self) -> list[str]:
        return re.findall(r"\{%(k\d)\}", " ".join(self.operands))

    @property
    def _is_zero(self) -> bool:
        """Whether it only sets a register to 0, whatever was in it."""
        return "xor" in self.name and len(set(self.operands)) == 1

    @property
    def _reads_target(self) -> bool:
        if _WRITES_NOTHING.match(self.name) or _IN_PLACE.match(self.name):
            return True
        if self.name.startswith("v"):
            return bool(self._masks) and "{z}" not in self.operands[-1]
        return len(self.operands) < 3 and not self.name.startswith(("mov", "lea", "set", "pop", "k"))


class Loop(NamedTuple):
    """A loop without loops in it.

    Attributes
    ----------
    label : str
    instructions : tuple of Instruction
        The jump to the beginning is the last one.
    frame : frozenset of str
        The registers through which the stack is reached.
    """

    label: str
    instructions: tuple[Instruction, ...]
    frame: frozenset[str]

    def count_of(self, kind: str, *, scalar: bool | None = None) -> int:
        """Return how many instructions are of a kind, or the scalar ones of them, or those on vectors."""
        return sum(one.kind == kind and (scalar is None or one.is_scalar == scalar) for one in self.instructions)

    @property
    def arithmetic(self) -> int:
        """How many operations on floats there are, scalars or vectors."""
        return sum(self.count_of(kind) for kind in _ARITHMETIC)

    @property
    def is_wide(self) -> bool:
        """Whether it adds or multiplies vectors of 512 bits."""
        return any(one.width == 512 and one.kind in {"add", "multiply", "fma"} for one in self.instructions)

    @property
    def stack_accesses(self) -> int:
        """How many instructions read or write the stack."""
        return sum(any(at.base in self.frame for at in one.memory) for one in self.instructions)

    @property
    def is_straight(self) -> bool:
        """Whether there is no call and no branch in it but the last."""
        return not any(one.kind in {"jump", "call"} for one in self.instructions[:-1])

    @property
    def samples(self) -> int:
        """How many samples a turn takes: how far the addresses of what is read move on."""
        steps = dict(one.step for one in self.instructions if one.step)
        moved = [
            max(abs(steps.get(at.base, 0)), at.scale * abs(steps.get(at.counter, 0)))
            for one in self.instructions
            for at in one.memory
            if at.base not in self.frame
        ]
        return max(moved, default=0) // BYTES

    def chain(self, cycles: Callable[[Instruction], float]) -> float:
        """Return how long a turn takes at least, because it needs what the one before has computed.

        Parameters
        ----------
        cycles : callable
            How long an instruction takes from its operands to its result.
        """
        ready: dict[str, float] = {}
        flow = [(one.reads(self.frame), one.writes(self.frame), cycles(one)) for one in self.instructions]
        ends = []
        for turn in range(1, 2 * TURNS + 1):
            for needed, written, taken in flow:
                done = max((ready.get(name, 0.0) for name in needed), default=0.0) + taken
                ready |= dict.fromkeys(written, done)
            if turn % TURNS == 0:
                ends.append(max(ready.values(), default=0.0))
        return (ends[1] - ends[0]) / TURNS


def update_loop(assembly: str) -> Loop:
    """Return the loop of a kernel that makes the updates, sample by sample.

    In the other loops, a turn waits for one addition of the turn before, or for nothing; an update waits for the whole
    of the last one. Where it stands twice, once for what is left over, it is the one that takes more samples in a turn.

    Raises
    ------
    ValueError
        If there is none.
    """
    found = [loop for loop in innermost_loops(assembly) if loop.arithmetic and loop.samples]
    if not found:
        raise ValueError("there is no loop over samples in the assembly")
    return max(found, key=lambda loop: (round(loop.chain(_one) / loop.samples, 3), loop.samples, loop.arithmetic))


def _one(instruction: Instruction) -> float:
    return 0.0 if instruction.kind == "move" else 1.0


def innermost_loops(assembly: str) -> Iterator[Loop]:
    """Yield the loops without loops in them."""
    for lines in _functions(assembly):
        labels = {found[1]: place for place, line in enumerate(lines) if (found := _LABEL.match(line))}
        jumps = [(place, parse_instruction(line)) for place, line in enumerate(lines) if line.startswith("\tj")]
        spans = {
            (labels[jump.operands[0]], place): jump.operands[0]
            for place, jump in jumps
            if jump.operands and labels.get(jump.operands[0], place) < place
        }
        frame = {"sp"} | ({"bp"} if any(line.startswith("\tmovq\t%rsp, %rbp") for line in lines) else set())
        for (first, last), label in sorted(spans.items()):
            if not any((first, last) != other and first <= other[0] and other[1] <= last for other in spans):
                body = [line for line in lines[first : last + 1] if re.match(r"\t[a-z]", line)]
                yield Loop(label, tuple(map(parse_instruction, body)), frozenset(frame))


def _functions(assembly: str) -> Iterator[list[str]]:
    """Yield the lines of each function."""
    lines: list[str] = []
    for line in assembly.splitlines():
        if (found := _LABEL.match(line)) and not found[1].startswith((".L", '".L')):
            yield lines
            lines = []
        lines.append(line)
    yield lines


def parse_instruction(line: str) -> Instruction:
    """Return the instruction of a line."""
    name, _, operands = line.partition("#")[0].strip().partition("\t")
    return Instruction(name, tuple(filter(None, map(str.strip, _OPERANDS.split(operands)))))


def _values(operand: str, frame: frozenset[str]) -> set[str]:
    """Return the register that an operand is, or its place on the stack; nothing for all else."""
    at = _MEMORY.match(operand)
    if at:
        return {operand} if _register(at["base"] or "") in frame else set()
    found = re.match(r"%\w+", operand)
    return {_register(found[0])} if found else set()


def _register(name: str) -> str:
    """Return the same name for all parts of a register."""
    name = name.lstrip("%")
    if found := re.fullmatch(r"[xyz]mm(\d+)", name):
        return f"v{found[1]}"
    if found := re.fullmatch(r"(r\d+)[dwb]?", name):
        return found[1]
    return _LETTERS.get(name[-2:] if len(name) == 3 and name[0] in "re" else name, name)
