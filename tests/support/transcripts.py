"""Transcripts: sessions of a shell in text files, which are run again in this process.

The format is that of cram: what is indented by two spaces is a command or what it prints, other lines are remarks. In
what is printed, `<number>` stands for any number and `...` for anything; empty lines do not count, and several blanks
count as one. The exit code follows as `[1]`, unless it is 0 or the command prints nothing but one line of refusal, with
exit code 2. Besides `sgdbench`, a session has `cat > FILE`, whose content follows, `cat FILE`, `mkdir` and `ls`.

`SGDBENCH_GOLDEN=write pytest ...` writes what has changed anew; look at the difference before it is committed.
"""

import os
import re
import shlex
from itertools import groupby
from pathlib import Path

from tests.support.written import hold_text

INDENT = "  "
WILD = {"...": "(?s:.*?)", "<number>": r"[-+]?\d[\d,.]*(?:e[-+]?\d+)?"}


def hold_transcript(path, sgdbench):
    """Run the commands of a transcript in the current folder, and hold it against what they print."""
    text = path.read_text(encoding="utf-8")
    found = "\n".join(_replay(text, sgdbench)) + "\n"
    hold_text(path, found)


def _replay(text, sgdbench):
    """Yield the lines of a transcript as they are found: what matches what is expected is left as it is."""
    for is_session, block in groupby(text.splitlines(), key=lambda line: line.startswith(INDENT)):
        if not is_session:
            yield from block
            continue
        command, expected = None, []
        for line in [*(line.removeprefix(INDENT) for line in block), "$ "]:
            if not line.startswith("$ "):
                expected.append(line)
                continue
            if command:
                yield INDENT + command
                yield from (INDENT + printed for printed in _run(command[2:], expected, sgdbench))
            command, expected = line, []


def _run(line, expected, sgdbench):
    """Return the lines that stand below a command."""
    program, *args = shlex.split(line)
    if program == "sgdbench":
        code, out, err = sgdbench(*args)
        usual = 2 if not out and re.fullmatch("sgdbench: .*\n", err) else 0
        printed = [*(out + err).splitlines(), *([f"[{code}]"] if code != usual else [])]
    elif program == "cat" and args[0] == ">":
        Path(args[1]).write_text("".join(f"{line}\n" for line in expected), encoding="utf-8")
        return expected
    elif program == "mkdir":
        Path(args[0]).mkdir()
        printed = []
    else:
        show = {"cat": lambda path: path.read_text("utf-8").splitlines(), "ls": lambda path: sorted(os.listdir(path))}
        printed = show[program](Path(args[0]))
    printed = [line.rstrip() for line in printed if line.strip()]
    pieces = re.split(f"({'|'.join(map(re.escape, WILD))})", _join_words(expected))
    pattern = "".join(WILD.get(piece, re.escape(piece)) for piece in pieces)
    return expected if re.fullmatch(pattern, _join_words(printed)) else printed


def _join_words(lines):
    return "\n".join(" ".join(line.split()) for line in lines)
