"""What the documents show works as it stands: links, commands, blocks of code, lists and figures."""

import ast
import re
import shlex
import shutil
from fractions import Fraction
from itertools import chain, takewhile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits

from sgdbench import fit
from sgdbench.commands.trees import Benchmarks
from sgdbench.compare.gates import load_gates
from sgdbench.data.table import builtin
from sgdbench.docs.pages import make_pages
from sgdbench.kernels.compile.kinds import KERNELS
from sgdbench.kernels.model.expression import FUNCTIONS
from sgdbench.kernels.model.models import quadratic
from sgdbench.kernels.optimizers.schedules import learning_rates
from sgdbench.kernels.train.trainer import make_trainer
from sgdbench.report.figures import DRAWN
from sgdbench.study.load import load_study
from sgdbench.study.suite import load_suite
from sgdbench.tables.render import TITLES
from sgdbench.timing.variants import VARIANTS
from tests.support.benchmark_files import clocked_repository, git
from tests.support.constants import ROOT
from tests.support.documents import BLOCKS, DOCUMENTS, FILES, PARSERS, PATHS, lines_of, parse_command, words_of
from tests.support.rooms import HEIGHT, LINES

README, KERNELS_README = "README.md", "kernels/README.md"
REFERENCE, TUTORIALS, EXPLANATION = (f"bench/docs/{part}" for part in ("reference", "tutorials", "explanation"))
OWN_TABLE, OWN_OPTIMIZER, CI = (f"{TUTORIALS}/{name}.md" for name in ("own-table", "own-optimizer", "ci"))
FROM_CURVE_FIT = f"{TUTORIALS}/from-curve-fit.md"
PEERS, CLUSTERS = f"{EXPLANATION}/peers.md", f"{EXPLANATION}/clusters.md"
# The most words that a document has, so that it is read.
WORDS = {README: 900, "CONTRIBUTING.md": 900, KERNELS_README: 2500, "bench/README.md": 400}
WORDS |= {file: 800 for file in FILES if file.startswith(TUTORIALS)}
WORDS |= {file: 1200 for file in FILES if file.startswith(EXPLANATION)}
# Those that work in an empty folder, from their first line to their last.
FOLLOWED = [README, f"{TUTORIALS}/lecture.md", OWN_TABLE, FROM_CURVE_FIT, f"{EXPLANATION}/large-data.md", PEERS]

# Blocks that are not run here: the file, something that this block alone has in it, and the reason.
NOT_RUN_HERE = [
    (OWN_OPTIMIZER, "@register_optimizer(slots=1", "tests/kernels/extend/test_register.py runs it, as a plug-in"),
    (OWN_OPTIMIZER, '@register_variant("matrices"', "tests/bench/timing/test_own_variants.py runs and verifies it"),
    (OWN_OPTIMIZER, "def test_matrices", "tests/bench/timing/test_own_variants.py runs it, as another project would"),
    (CLUSTERS, "client = Client(", "tests/bench/engine/test_dask.py trains on clusters of processes here"),
    (CI, "Time of B / time of A", "test_the_commit_is_compared_as_it_says compares it"),
    (KERNELS_README, "f(x; θ)", "formulas"),
    (KERNELS_README, "eight running sums", "formulas; tests/kernels/simd/test_sums.py holds the sums against NumPy"),
    (KERNELS_README, "rule(theta, slots", "a signature"),
    ("CONTRIBUTING.md", "pytest_plugin     ", "test_the_rooms_are_those_that_imports_keep_to compares it"),
]
# The same runs in seconds.
TUNE_QUICK = ["--epochs", "2", "--set", "run.kernel=reference", "--confirm", "0", "--no-grid"]
QUICK = ["--epochs", "2", "--optimizer", "sgd", "--lr", "0.01,0.1", "--set", "run.kernel=reference", "--confirm", "0"]


def is_run_here(block):
    return not any(block.file == file and part in block.text for file, part, _ in NOT_RUN_HERE)


def sections_with(language):
    """From file and section to its blocks in a language: they share their names, as for somebody who reads on."""
    found = {}
    for block in BLOCKS:
        if block.language == language and is_run_here(block):
            found.setdefault((block.file, block.section), []).append(block)
    return found


@pytest.fixture
def own_folder(tmp_path, monkeypatch):
    """A folder with the tables that the documents are about, or with some of their rows."""
    monkeypatch.chdir(tmp_path)
    data = builtin("auto-mpg")
    power, consumption = data.x[::2, 0], data.y[::2]
    pd.DataFrame({"hp": power, "mpg": consumption}).to_csv("cars.csv", index=False)
    pd.DataFrame({"Engine Power (PS)": power, "mpg": consumption}).to_csv("engines.csv", index=False)
    pixels, labels = few_rows(load_digits, return_X_y=True)
    digits = pd.DataFrame(pixels, columns=[f"pixel_{k}" for k in range(64)])
    digits.assign(age=labels % 7, digit=labels).to_csv("digits.csv", index=False)
    return tmp_path


def train_by_reference(monkeypatch, *, other_than=None):
    """Single runs have the bits of their kernels, which compile for seconds; those of one expression train as asked."""

    def make(kernel, model, *of, **settings):
        return make_trainer(kernel if model.expression == other_than else "reference", model, *of, **settings)

    for module in ("trainer", "partial_fit"):
        monkeypatch.setattr(f"sgdbench.kernels.train.{module}.make_trainer", make)


def few_rows(load, **asked):
    """The first rows of a data set of scikit-learn, for what trains on it."""
    return [values[:150] for values in load(**asked)]


# Files, headings, links


def test_no_document_is_forgotten():
    """Besides those in results/, where runs leave reports of their own, and in build/, where the site is made."""
    others = ("results", "build")
    places = [place for place in ROOT.iterdir() if place.name not in others and not place.name.startswith(".")]
    found = {path for place in places for path in [place, *place.rglob("*.md")] if path.suffix == ".md"}
    assert found <= set(PATHS)


@pytest.mark.parametrize("file", FILES)
def test_links_lead_somewhere(file):
    document = DOCUMENTS[file]
    for link in document.links:
        target, _, anchor = link.partition("#")
        if link.startswith("https://"):
            continue
        path = (ROOT / file).parent / target if target else ROOT / file
        assert path.exists(), link
        if anchor:
            name = path.resolve().relative_to(ROOT.resolve()).as_posix()
            assert anchor in DOCUMENTS[name].anchors, link


@pytest.mark.parametrize("file", WORDS)
def test_documents_stay_short(file):
    assert len(DOCUMENTS[file].text.split()) <= WORDS[file]


def test_the_glossary_stays_short():
    assert len(re.findall(r"^\| \w", DOCUMENTS["bench/docs/glossary.md"].text, re.MULTILINE)) <= 25 + len(["term"])


def test_the_map_leads_to_every_page():
    named = {(ROOT / "bench" / link).resolve() for link in DOCUMENTS["bench/README.md"].links}
    assert {ROOT / file for file in FILES if file.startswith("bench/docs/")} <= named


def test_the_site_has_every_page():
    listed = re.findall(r": (\S+\.md)$", (ROOT / "mkdocs.yml").read_text("utf-8"), re.MULTILINE)
    assert set(listed) <= set(FILES)
    assert {file for file in FILES if file.startswith("bench/docs/")} <= set(listed)


# Commands


@pytest.mark.parametrize("file", FILES)
def test_commands_parse(file, pytestconfig):
    for block in DOCUMENTS[file].blocks:
        for line in lines_of(block) if block.language in ("", "yaml") else ():
            parse_command(line, pytestconfig)


@pytest.mark.parametrize("file", FILES)
def test_commands_that_are_mentioned_exist(file, pytestconfig):
    for span in DOCUMENTS[file].spans:
        if span.split()[:1] and span.split()[0] in PARSERS:
            parse_command(span, pytestconfig, whole=False)


def run_python(block, names):
    """Run a block of Python, and compare the arrays that it shows."""
    exec(compile(block.text, f"{block.file}, {block.section}", "exec"), names)
    for expression, shown in re.findall(r"^(\S.*?)  # (array\(.*\))$", block.text, re.MULTILINE):
        value = eval(expression, names)
        np.testing.assert_allclose(value, eval(shown, {"array": np.array}), atol=1e-6, err_msg=expression)


def steps_of(file):
    """The commands and the Python of a document in their order, as somebody follows it."""
    for block in DOCUMENTS[file].blocks:
        if block.language == "python":
            yield "python", block
        elif not block.language:
            yield from (("sgdbench", line) for line in lines_of(block) if line.startswith("sgdbench"))


@pytest.mark.parametrize("file", FOLLOWED)
@pytest.mark.usefixtures("no_report", "rules_forgotten")
def test_a_document_works_from_its_first_line_to_its_last(file, tmp_path, sgdbench, monkeypatch):
    """In an empty folder; with few rows, epochs, trials and settings, and by the reference, which compiles nothing."""
    monkeypatch.chdir(tmp_path)
    train_by_reference(monkeypatch)
    names = {}
    for kind, step in steps_of(file):
        if kind == "python" and "@register_model" in step.text:
            Path("my_model.py").write_text(step.text, "utf-8")
            continue
        if kind == "python":
            run_python(step, names)
            continue
        _, command, *words = words_of(step.replace("--trials 96", "--trials 8"))
        quick = [*QUICK, "--seed", "0", "--batch-size", "64"] if command == "run" else []
        quick += ["--epochs", "3"] if "--animate" in words else []  # a film has fewer frames
        pairs = [pair for pair in zip(quick[::2], quick[1::2], strict=True) if pair[0] not in words]
        code, out, err = sgdbench(command, *words, *chain(*pairs), *(TUNE_QUICK if command == "tune" else []))
        assert (code, err) == (0, ""), (step, err)
        assert out
    if file == README:
        assert names["grid"].size == 800
        assert "one fit and then eight hundred" in DOCUMENTS[README].text
    if file == FROM_CURVE_FIT:
        np.testing.assert_allclose(names["result"].params, [2.5, 0.4, 0.7], atol=0.02)
        assert f"'{names['result'].model.expression}'" in DOCUMENTS[file].text
    if "theirs" in names:
        theirs = names["theirs"]
        np.testing.assert_allclose(names["ours"].params_, [*theirs.coef_, *theirs.intercept_], rtol=1e-12)


STUDY = """
name = "study"
data.builtin = "quadratic"
model.expression = "a*x**2 + b*x + c"
grid = { lr = [0.01, 0.1], seed = [0, 1, 2, 3, 4, 5], shuffle = true }
run.target = 0.5
"""


@pytest.fixture
def slower_tree(own_folder, monkeypatch):
    """A repository whose working tree takes 1.2 times as long as its commit, as test_compare_against.py measures it."""

    def run_benchmarks(tree, arguments):
        name, seconds = ("new", 0.012) if "working tree" in tree.about else ("old", 0.01)
        return Benchmarks({f"benchmarks/test_io.py::test_{test}": seconds for test in ("read", name)}, {})

    monkeypatch.setattr("sgdbench.commands.compare.run_benchmarks", run_benchmarks)
    clocked_repository(own_folder, benchmarks="benchmarks/test_io.py")
    git("update-ref", "refs/remotes/origin/main", "HEAD")


@pytest.mark.usefixtures("few_variants", "no_update_timed", "slower_tree")
def test_the_gate_holds_and_fails_as_it_says(own_folder, sgdbench, monkeypatch):
    """The run that is measured twice is copied, as no test depends on how busy the machine is."""
    monkeypatch.setattr(
        "sgdbench.commands.measure.write_run_report", lambda run_data, **_: run_data.result.run.folder / "report.md"
    )
    blocks = [block for block in DOCUMENTS[CI].blocks if block.section == "Gate a study"]
    (gates,) = [block.text for block in blocks if block.language == "toml"]
    lines = [line for block in blocks if not block.language for line in lines_of(block)]
    (own_folder / "gates.toml").write_text(gates, encoding="utf-8")
    (own_folder / "study.toml").write_text(STUDY, encoding="utf-8")
    compared = []
    for line in lines:
        program, *words = words_of(line)
        if program == "mkdir":
            (own_folder / words[-1]).mkdir()
        elif words[0] == "run" and (own_folder / "baseline" / "run").exists():
            shutil.copytree("baseline/run", words[-1])
        else:
            code, out, err = sgdbench(*words, *(QUICK if words[0] == "run" else ()))
            assert (code, err) == (int("--against" in words), ""), line
            compared += [out] if words[0] == "compare" else []
    benchmarks, runs = compared
    assert "above the gate 1.05: benchmarks/test_io.py::test_read (1.2, " in benchmarks
    for row in ("fused", "epochs: best of each"):
        assert f"| {row} |" in runs


def test_the_job_runs_what_the_section_shows():
    blocks = [block for block in DOCUMENTS[CI].blocks if block.section != "Compare with a commit"]
    shown = {shlex.join(words_of(line)) for block in blocks if not block.language for line in lines_of(block)}
    (job,) = [block for block in blocks if block.language == "yaml"]
    run = [shlex.join(words_of(line)) for line in lines_of(job)]
    own = {line.replace("--gate 1.05", "--tolerances gates.toml --markdown") for line in shown}
    own |= {line.removesuffix(" --markdown") for line in own}
    assert set(run) - {"pip install -e '.[test]'"} <= own
    assert len(run) == 5


@pytest.mark.usefixtures("slower_tree")
def test_the_commit_is_compared_as_it_says(sgdbench):
    line, shown = (block.text for block in BLOCKS if block.section == "Compare with a commit")
    _, *words = words_of(line)
    git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-a", "-m", "second")
    code, out, _ = sgdbench(*words)
    assert code == 1

    def without_numbers(text):
        return re.sub(r"\d\S*", "0", text).split()

    title, *_ = shown.splitlines()
    (table,) = [part for part in out.split("\n\n") if part.startswith(title)]
    assert without_numbers(shown) == without_numbers(table)


# Blocks of code


def test_every_block_is_run_or_has_a_reason():
    for file, part, _ in NOT_RUN_HERE:
        assert sum(block.file == file and part in block.text for block in BLOCKS) == 1, part
    for block in BLOCKS:
        quoted = block.language == "text" and block.file.startswith(REFERENCE)  # from docstrings
        assert block.language in {"", "python", "toml", "yaml"} or quoted or not is_run_here(block), block
    for _, _, reason in NOT_RUN_HERE:
        for path in re.findall(r"tests/[\w/]+\.py", reason):
            assert (ROOT / path).exists()


@pytest.mark.parametrize(("file", "section"), [where for where in sections_with("python") if where[0] not in FOLLOWED])
def test_python_runs_and_gives_what_it_says(file, section, own_folder, monkeypatch):
    train_by_reference(monkeypatch, other_than=quadratic.expression)
    names = {}
    for block in sections_with("python")[file, section]:
        run_python(block, names)


def test_the_built_in_studies_are_as_large_as_the_readme_says():
    assert [load_study(name).make_grid().size for name in ("quadratic", "auto-mpg", "digits")] == [3000, 960, 504]
    for said in ("3,000 runs of the quadratic", "960 runs on 392 cars", "504 configurations"):
        assert said in DOCUMENTS[README].text


@pytest.mark.parametrize(
    "block", [block for block in BLOCKS if block.language == "toml"], ids=lambda block: block.section
)
def test_toml_is_what_it_is_said_to_be(block, own_folder):
    path = own_folder / "block.toml"
    path.write_text(block.text, encoding="utf-8")
    if "[gates]" in block.text:
        gates = load_gates(None, path)
        assert gates.of("anything") == 1.10
        assert gates.of("lanes, all cores") == 1.05
        assert gates.named("epochs: best of each") == 1.0
        assert gates.named("fused") is None
    elif "[[problem]]" in block.text:
        suite = load_suite(str(path))
        assert [study.name for study in suite.studies] == ["cars", "valley"]
    elif "[tune]" in block.text:
        study = load_study(path)
        space = study.make_space(len(study.dataset()[0].y))
        assert [len(family.ranges) for family in space.families] == [0, 1, 1]
        assert study.tune.trials == 600
    elif "pixel_*" in block.text:
        study = load_study(path)
        model = study.make_model(study.dataset()[0])
        assert (len(model.inputs), model.classes, list(model.vectors)) == (65, 10, ["W", "a", "b"])
    else:
        study = load_study(path)
        data, scaling = study.dataset()
        assert scaling
        assert study.make_model(data).inputs == ("power",)
        assert (data.y.size, len(data.validation[1]), len(data.test[1])) == (118, 39, 39)
        assert study.make_grid().size == 9 * 3 * 5 * 2


def test_the_rooms_are_those_that_imports_keep_to():
    (shown,) = [block.text for block in BLOCKS if "pytest_plugin     " in block.text]
    assert [set(takewhile(HEIGHT.__contains__, line.split())) for line in shown.splitlines()] == LINES


# Lists, tables, figures


def first_column(file, section):
    """The names in the first column of the tables of a section."""
    return re.findall(r"^\| `([\w\-, ]+?)`", DOCUMENTS[file].section(section), re.MULTILINE)


def test_lists_are_complete():
    contract = re.findall(r"^\|(.*?)\|", DOCUMENTS[KERNELS_README].section("The equality contract"), re.MULTILINE)
    assert {name for cell in contract for name in re.findall(r"`(.*?)`", cell)} == set(KERNELS)
    peers = [variant.name for variant in VARIANTS if not variant.ours]
    assert sorted(first_column(PEERS, "Peers in their best form")) == sorted(peers)
    models = set(re.findall(r"`(\w+)", DOCUMENTS[f"{REFERENCE}/models.md"].section("Functions")))
    assert {"abs", "max", "min", *FUNCTIONS} - {"absolute", "maximum", "minimum"} <= models


def test_the_reference_is_what_make_docs_writes():
    pages = make_pages()
    assert {path.name for path in (ROOT / REFERENCE).iterdir()} == set(pages)
    for name, text in pages.items():
        assert text == (ROOT / REFERENCE / name).read_text("utf-8"), f"{name} is out of date: run `make docs`"


def test_halve_and_step_are_as_the_table_says():
    rows = [line for line in DOCUMENTS[f"{REFERENCE}/schedules.md"].text.splitlines() if line.startswith("| ")]
    epochs, halve, step = ([cell.strip() for cell in line.strip("|").split("|")] for line in rows)
    for name, *factors in (halve, step):
        rates = learning_rates(name.strip("`"), 1.0, 30)[[int(epoch) for epoch in epochs[1:]]]
        assert rates.tolist() == [float(Fraction(factor)) for factor in factors]


# How the README calls the variants of the reference run.
ROWS = {
    "`reference`": "reference",
    "PyTorch, eager": "PyTorch",
    "scikit-learn": "scikit-learn",
    "JAX, jit": "JAX",
    "C, ": "C",
    "`fused`": "fused",
    "JAX, 1,024": "JAX, many runs",
    "`lanes`": "lanes",
}


def test_the_table_of_the_readme_is_the_reference_run():
    measured = pd.read_csv(ROOT / "results" / "reference" / "speed.csv").set_index("variant")
    lines = [line.strip("|").split(" | ") for line in DOCUMENTS[README].text.splitlines() if line.startswith("| ")][1:]
    assert len(lines) == len(ROWS)
    for (label, result, ns, speedup), (start, variant) in zip(lines, ROWS.items(), strict=True):
        row = measured.loc[variant]
        assert label.strip().startswith(start)
        assert float(ns.replace(",", "")) == pytest.approx(row["ns"], rel=0.005)
        if variant != "C":
            assert float(speedup) == pytest.approx(
                row["to_c"], abs=0.5 * 10.0 ** -len(speedup.strip().partition(".")[2])
            )
        if variant == "reference":
            assert result == "is the definition"
        elif row["error"] == 0:
            assert result == "bit for bit"
        else:
            assert float(result.removeprefix("within ")) == float(f"{row['error']:.0e}")


def test_compiling_and_loading_take_as_long_as_in_the_reference_run():
    ours = pd.read_csv(ROOT / "results" / "reference" / "speed.csv").query("ours")
    low, high = ours["compile_seconds"].agg(["min", "max"])
    fast, slow = 1000 * ours["load_seconds"].agg(["min", "max"])
    said = f"compile there in {low:.0f} to {high:.0f} s, then load in {fast:.0f} to {slow:.0f} ms."
    assert said in " ".join(DOCUMENTS[README].text.split())


def test_orders_end_as_far_above_the_lowest_loss_as_the_table_says():
    rng = np.random.default_rng(0)
    x = np.sort(rng.uniform(-1, 1, 50_000))
    y = 2 * x**2 - 4 * x + 3 + 0.5 * rng.standard_normal(x.size)
    text = DOCUMENTS["bench/docs/explanation/large-data.md"].text
    shown = map(float, re.findall(r"^\| .* \| ([\d.]+) % \|$", text, re.MULTILINE))
    orders = [False, True, "blocks(size=500, buffer=1000)", "blocks(size=2500, buffer=2500)"]
    for order, percent in zip(orders, shown, strict=True):
        settings = {"epochs": 3, "lr": 0.002, "shuffle": order}
        runs = [fit(quadratic, x, y, seed=seed, **settings) for seed in range(20 if order else 1)]
        above = 100 * np.mean([run.loss[-1] / run.optimum.loss - 1 for run in runs])
        assert percent == pytest.approx(above, abs=0.5 if above > 1 else 0.005)


def test_the_numbers_about_peers_are_those_of_the_reference_run():
    measured = pd.read_csv(ROOT / "results" / "reference" / "speed.csv").set_index("variant")
    text = " ".join(DOCUMENTS[PEERS].text.split())
    for variant, shown in (("fused", 1.52), ("C in our order", 1.71), ("lanes", 15.8)):
        assert float(f"{measured.loc[variant, 'to_c']:.3g}") == shown
        assert f"{shown} times as fast as `C`" in text
    timing = " ".join(DOCUMENTS["bench/docs/explanation/timing.md"].text.split())
    assert f"one run of JAX took {measured.loc['JAX', 'ns']:.1f} ns in the process of the reference run" in timing
    break_even = float(f"{measured.loc['fused', 'break_even']:.2g}")
    assert f"{break_even:,.0f} sample-updates" in text


def test_each_table_is_listed():
    section = DOCUMENTS["results/README.md"].section("The tables")
    assert all(f"`{name}`" in section for name in TITLES)


def test_each_figure_has_its_paragraph():
    others = []
    for file in ("suite_report.py", "tune_report.py"):
        (figures,) = [
            node.value
            for node in ast.walk(ast.parse((ROOT / "bench/report" / file).read_text("utf-8")))
            if isinstance(node, ast.AnnAssign | ast.Assign)
            and isinstance(node.value, ast.Dict)
            and node.value.keys
            and "figures" in ast.unparse(node).partition("=")[0]
        ]
        others += [key.value for key in figures.keys]
    others.append("search_slices_1")  # and so on, one for each optimizer
    headings = DOCUMENTS[f"{REFERENCE}/figures.md"].headings
    assert headings == [(1, "Figures"), *((2, name) for name in [*DRAWN, *others])]


def test_the_readme_names_every_notebook():
    """tests/test_notebook.py runs them."""
    for path in (ROOT / "bench" / "examples").glob("*.ipynb"):
        assert f"bench/examples/{path.name}" in DOCUMENTS[README].links
