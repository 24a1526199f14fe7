"""The program of an expression, read from the disk cache if it is there."""

import hashlib
import json
import threading
from contextlib import suppress
from typing import Any

from sgdbench.kernels.base import cache
from sgdbench.kernels.base.checks import describe
from sgdbench.kernels.base.forking import wait_when_forking
from sgdbench.kernels.model.expression import parse
from sgdbench.kernels.model.program import Instruction, Program, check_program

# Raise this number when `derive` produces other programs, so that cached ones are not reused.
CACHE_FORMAT = 3

# Held while sympy is imported and computes, so that no fork finds it partially imported.
_deriving = threading.RLock()
wait_when_forking(_deriving)


def compile_program(text: str, inputs: tuple[str, ...], params: tuple[str, ...]) -> Program:
    """Return the program of an expression, which is derived only if it is not in the cache.

    Derivation imports sympy, which takes longer than a whole warm run should.

    Raises
    ------
    DerivationError
        A ValueError, if the expression does not stay real and finite, an exponent grows too large, or sympy fails.
    """
    key = json.dumps([CACHE_FORMAT, text, inputs, params])
    name = f"program_{hashlib.sha256(key.encode()).hexdigest()[:16]}.json"
    stored = cache.read(name)
    if stored is not None:
        with suppress(ValueError, LookupError, TypeError):  # a file of another format is replaced
            record = json.loads(stored)
            if record["key"] == key:
                return _from_record(record)
    with _deriving:
        program = _derive(text, inputs, params)
    cache.write(name, json.dumps({"key": key, **program._asdict()}))
    return program


def _derive(text: str, inputs: tuple[str, ...], params: tuple[str, ...]) -> Program:
    from sgdbench.kernels.model.derive import DerivationError, derive  # noqa: PLC0415 (sympy, only when needed)

    try:
        return derive(parse(text), inputs, params)
    except (DerivationError, MemoryError):
        raise
    except RecursionError:
        raise DerivationError(f"the expression {text!r} is nested too deeply for its derivatives") from None
    except Exception as error:  # sympy may raise anything, such as ZeroDivisionError
        raise DerivationError(
            f"the expression {text!r} cannot be differentiated: sympy raises {describe(error)}"
        ) from error


def _from_record(record: dict[str, Any]) -> Program:
    program = Program(**{name: record[name] for name in Program._fields if name != "weights"})
    return check_program(
        program._replace(
            constants=tuple(program.constants),
            instructions=tuple(Instruction(function, tuple(operands)) for function, operands in program.instructions),
            derivatives=tuple(program.derivatives),
        )
    )
