from tests.support.constants import ROOT


def test_the_verdict_waits_for_no_package_that_it_does_not_need_and_the_page_for_no_figures(python, tmp_path):
    code = f"""
import sys

def show(*packages):
    print(sorted(set(packages) & set(sys.modules)))

import sgdbench.commands.run as run
from sgdbench.cli import main

def measure(*args):
    show("matplotlib", "jinja2", "scipy.optimize", "scipy.stats", "sklearn", "dask", "distributed", "tornado")
    import sgdbench.commands.measure
    show("matplotlib.figure", "matplotlib.backends.backend_agg", "IPython")
    sys.exit()

run._print_verdict = measure
sys.argv = ["sgdbench", "run", "quadratic", "--epochs", "2", "--lr", "0.1", "--batch-size", "16", "--seed", "0,1"]
sys.argv += ["--optimizer", "sgd", "--set", "run.kernel=fused", "--confirm", "2", "--out", {str(tmp_path / "run")!r}]
main()
"""
    assert python(code, cwd=ROOT) == "[]\n[]\n"
