"""The command `sgdbench kernel`: print a kernel's source or machine code, or write a standalone module."""

from pathlib import Path

from rich.console import Console
from rich.syntax import Syntax

from sgdbench.commands.parse import split_list
from sgdbench.kernels.compile.source import machine_code, make_spec, source
from sgdbench.system.atomic import write_text


def print_kernel(model: str, inputs: str, settings: dict[str, str], *, code: str, file: Path | None) -> None:
    """Print the source of a kernel, or its machine code (`code` is "asm" or "llvm"), or write it to a file."""
    names = int(inputs) if inputs.isdecimal() else split_list(inputs)
    if code:
        print(machine_code(make_spec(model, names, **settings), llvm=code == "llvm"))
        return
    text = source(model, inputs=names, **settings, standalone=file is not None)
    if file is not None:
        write_text(file, text)
        print(f"{file}: train(x, y, theta, rates) with NumPy and numba alone")
    elif (console := Console()).is_terminal:
        console.print(Syntax(text, "python", background_color="default"))
    else:
        print(text, end="")
