"""A repository of somebody else, whose own packages are called bench, kernels and tests."""

import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import sgdbench

HANG = 600
FROM_WHEEL = "site-packages" in Path(sgdbench.__file__).parts
FILES = {
    "bench/__init__.py": 'NAME = "their bench"\n',
    "bench/work.py": """
        from kernels import SIZE


        def work():
            return sum(range(SIZE))
    """,
    "kernels/__init__.py": "SIZE = 1000\n",
    # A plug-in that imports the repository's own package.
    "rules.py": """
        from bench import NAME
        from sgdbench import register_schedule


        @register_schedule
        def theirs(epoch, epochs):
            assert NAME == "their bench"
            return 0.5 + 0 * epoch
    """,
    "script.py": """
        import bench
        import kernels
        import sgdbench
        from bench.work import work
        from sgdbench.data import builtin

        data = builtin("quadratic")
        given = {"init": [-1, 10, 26], "lr": 0.5, "kernel": "reference", "epochs": 10}
        result = sgdbench.fit("a*x**2 + b*x + c", data.x, data.y, **given)
        assert result.loss[-1] < 0.01 * result.loss[0]
        print(bench.NAME, work(), kernels.__file__, sgdbench.kernels.__name__)
    """,
}
TESTS = {
    "tests/__init__.py": "",
    "tests/conftest.py": """
        import pytest


        @pytest.fixture
        def expected():
            return 499500
    """,
    "tests/test_work.py": """
        import bench
        import kernels
        from bench.work import work
        from sgdbench import classic


        def test_theirs(benchmark, expected):
            assert benchmark(work) == expected
            assert bench.NAME == "their bench"


        def test_ours(variant_benchmark):
            variant_benchmark("reference", classic(epochs=1, n=40))
    """,
    "study.toml": """
        name = "small"
        data = { builtin = "quadratic" }
        model = { expression = "a*x**2 + b*x + c" }

        [grid]
        lr = [0.1, 0.5]
        schedule = ["constant", "theirs"]
        seed = [0, 1]

        [run]
        epochs = 2
        kernel = "reference"
    """,
    ".gitignore": "__pycache__/\nresults/\n",
}
COMMIT = ("-c", "user.name=a", "-c", "user.email=a@b", "commit", "--quiet", "--message")


def make_repository(root, layout):
    """Make a repository of two commits; its packages are in the folder `layout`, if that is not empty."""
    placed = {f"{layout}/{name}" if layout else name: text for name, text in FILES.items()} | TESTS
    placed["pyproject.toml"] = f'[tool.pytest.ini_options]\npythonpath = ["{layout}"]\n' if layout else ""
    for name, text in placed.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text).lstrip("\n"), encoding="utf-8")
    run(root, "git", "init", "--quiet")
    run(root, "git", "add", ".")
    run(root, "git", *COMMIT, "first")
    (root / "README.md").write_text("Theirs.\n", encoding="utf-8")
    run(root, "git", "add", ".")
    run(root, "git", *COMMIT, "second")


def script(name):
    """The path of a command of the environment."""
    return str(Path(sys.executable).with_name(name))


def run(folder, *command, **environment):
    """Run a command in a folder as a user would, without what the suite sets; its output."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PYTEST_", "PYTHON", "GIT_")) or name == "PYTHONDONTWRITEBYTECODE"
    }
    done = subprocess.run(
        [*map(str, command)],
        cwd=folder,
        env=inherited | environment,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=HANG,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout
