"""What an installation of sgdbench brings along."""

import sys
import sysconfig
from importlib.metadata import distributions, version

import sgdbench
from tests.installed.neighbours import run, script


def installed():
    """The distribution in the environment, not a folder of metadata beside the sources."""
    (found,) = distributions(name="sgdbench", path=[sysconfig.get_path("purelib")])
    return found


def test_the_only_name_that_can_be_imported_is_sgdbench():
    names = {file.parts[0] for file in installed().files if not {"..", "__pycache__"} & {*file.parts}}
    metadata = {name for name in names if name.endswith(".dist-info")}
    of_editable = {name for name in names if name.startswith("__editable__")}  # one that is imported from its clone
    assert len(metadata) == 1
    assert names - metadata == (of_editable or {"sgdbench"})
    assert (installed().read_text("top_level.txt") or "").split() == ["sgdbench"]


def test_entry_points_are_in_the_package():
    points = {(point.group, point.name): point for point in installed().entry_points}
    assert {group for group, _ in points} == {"console_scripts", "pytest11", "sgdbench.views"}
    for point in points.values():
        assert point.module.startswith("sgdbench.")
        point.load()


def test_the_version_is_the_same_everywhere(tmp_path):
    assert sgdbench.__version__ == version("sgdbench") == installed().version
    assert run(tmp_path, script("sgdbench"), "--version") == f"sgdbench {sgdbench.__version__}\n"


def test_an_import_is_of_an_empty_package(tmp_path):
    code = "import sys; before = {*sys.modules}; import sgdbench; print({*sys.modules} - before)"
    assert run(tmp_path, sys.executable, "-c", code) == "{'sgdbench'}\n"
