"""The page in a real browser: charts, table, keys, names that are up to something, and no network."""

import json
import re
import shutil
import tomllib
from contextlib import contextmanager
from itertools import pairwise

import numpy as np
import pytest

from sgdbench import Grid, Model, fit, load_run, sweep
from sgdbench.analysis.surface import loss_surface
from sgdbench.data.units import curve_in_table_units
from sgdbench.kernels.losses import make_loss
from sgdbench.report.play_data import PLAYED, encode_program
from sgdbench.report.report import write_reports, write_run_report
from sgdbench.report.run_data import read_run_data
from sgdbench.store.evidence import store_tables
from sgdbench.study.load import load_study
from sgdbench.tables.formatting import duration, shorten, text
from sgdbench.tables.rank import recommended_choice, runs_of
from tests.support.browsing import chromium, complaints, opened
from tests.support.constants import HANG
from tests.support.hostile import STARTS, TITLE, Y, make_costs
from tests.support.studies import train_study

pytest.importorskip("selenium", reason="no selenium: pip install selenium")
from selenium.common.exceptions import NoAlertPresentException
from selenium.webdriver import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

CHARTS = ["bend", "fall", "path", "map", "cell", "loss", "compared", "rates", "effects", "fit", "time"]
# Those of the other run, whose kernels are compiled already.
MODEL, OPTIMIZERS = "a*x**2 + b*x + c", ["sgd", "momentum(0.9)"]


@pytest.fixture(scope="module")
def browser():
    with chromium() as driver:
        yield driver


@pytest.fixture(scope="module")
def folder(browser, hostile_folder):
    return hostile_folder


def open_once(browser, folder, name):
    """Open the page, unless it is still the one that was opened under this name."""
    if not run(browser, f"window.{name}"):
        run(opened(browser, folder / "report.html"), f"(window.{name} = true)")
    return browser


@pytest.fixture
def page(browser, folder):
    """The page, opened once for tests in a row: none must count on what another one left, nor leave much."""
    return open_once(browser, folder, "isShared")


@pytest.fixture
def changing(browser, folder):
    """The page, opened once for tests of which each changes something else, and leaves it changed."""
    return open_once(browser, folder, "isChanging")


@pytest.fixture
def fresh(browser, folder):
    """The page, opened anew for a test that changes it."""
    return opened(browser, folder / "report.html")


def run(driver, script, *args):
    return driver.execute_script(f"return {script}", *args)


def caption(driver, name):
    return run(driver, f"document.getElementById('say-{name}').textContent")


def traces(driver, name):
    return run(driver, f"document.querySelector('#chart-{name} .plot').data.length")


def press(driver, *keys, on=None):
    (driver.find_element(By.CSS_SELECTOR, on) if on else driver.switch_to.active_element).send_keys(*keys)


def click(driver, selector, named=None):
    """Click what is there under this name."""
    found = [one for one in driver.find_elements(By.CSS_SELECTOR, selector) if named in (None, one.text)]
    run(driver, "arguments[0].scrollIntoView({block: 'center', inline: 'nearest', behavior: 'instant'})", found[0])
    found[0].click()


def test_every_chart_is_drawn_and_described(page):
    for name in CHARTS:
        assert traces(page, name) > 0
        assert run(page, f"document.querySelector('#chart-{name} .plot .main-svg') !== null")
        assert len(caption(page, name)) > 20
        plot = f"document.querySelector('#chart-{name} .plot')"
        label, described = run(page, f"['aria-label', 'aria-describedby'].map((a) => {plot}.getAttribute(a))")
        assert label
        assert f"say-{name}" in described
    assert complaints(page) == []


def test_no_request_leaves_the_page(page, folder):
    page.get_log("performance")
    run(opened(page, folder / "report.html"), "(window.isShared = true)")
    events = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]
    asked = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []
    assert run(page, "performance.getEntriesByType('resource').filter((e) => /^http/.test(e.name)).length") == 0
    blocked = "fetch('https://example.org/').then(() => 'went', () => 'stayed').then(arguments[0])"
    assert page.execute_async_script(blocked) == "stayed"
    assert all("Content Security Policy" in told for told in complaints(page))


def test_a_film_is_played_to_its_end_without_a_network(browser, classic, tmp_path):
    settings = {"init": [-1, 10, 26], "lr": 0.5, "epochs": 2, "batch_size": 16, "kernel": "reference"}
    path = tmp_path / "film.html"
    fit("a*x**2 + b*x + c", *classic, **settings).animate(*classic, settings=settings).save(path)
    complaints(browser), browser.get_log("performance")
    browser.get(path.as_uri())
    slider, image = browser.find_element(By.CSS_SELECTOR, "input[type=range]"), browser.find_element(By.TAG_NAME, "img")
    WebDriverWait(browser, HANG, 0.05).until(lambda _: image.get_property("naturalWidth") == 640)
    start = image.get_property("src")
    play = browser.find_element(By.CSS_SELECTOR, "[aria-label=Play]")
    assert {button.text for button in browser.find_elements(By.TAG_NAME, "button")} == {""}
    assert run(browser, "getComputedStyle(arguments[0].firstElementChild, '::before').content", play) == '"▶"'
    play.click()
    WebDriverWait(browser, HANG, 0.05).until(lambda _: slider.get_property("value") == slider.get_property("max"))
    assert image.get_property("src") not in ("", start)
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    requested = [
        event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"
    ]
    assert {url.partition(":")[0] for url in requested} <= {"file", "data"}
    assert requested
    assert complaints(browser) == []


def test_names_run_no_script_and_are_shown_as_they_are(page):
    with pytest.raises(NoAlertPresentException):
        page.switch_to.alert.text  # noqa: B018
    made = "img[src=x], b:not(.answer b, .tiles b), a[href^=javascript]"
    assert run(page, "[...document.querySelectorAll(arguments[0])].map((e) => e.outerHTML)", made) == []
    assert run(page, "[...document.scripts].some((s) => s.textContent.includes('alert('))") is False
    assert run(page, "document.querySelector('h1').textContent") == text(TITLE)
    assert run(page, "document.title.includes('<script>')")
    starts = "[...document.querySelectorAll('{} option')].map((o) => o.textContent)"
    assert run(page, starts.format("#chart-loss")) == ["all starts", *map(text, STARTS)]
    assert run(page, starts.format("#controls-play label:last-child")) == [*map(text, STARTS)]
    # Plotly draws texts with a few tags of HTML: names are none of them.
    for name in ("fit", "bend"):
        axis = run(page, f"document.querySelector('#chart-{name} .ytitle').textContent")
        assert axis == shorten(Y)
    assert text(STARTS[2]) in run(page, "document.querySelector('#chart-fit .legend').textContent")
    assert complaints(page) == []


def slide(driver, step):
    """Drag the slider of the player to a step."""
    slider = "document.getElementById('play-slider')"
    run(driver, f"({slider}.value = {step}, {slider}.dispatchEvent(new Event('input')))")


def drawn_curve(driver):
    return np.array(run(driver, "document.querySelector('#chart-bend .plot').data[2].y"), dtype=float)


def test_every_run_that_is_played_ends_at_the_parameters_of_the_kernel(page, folder):
    frame = load_run(folder).frame
    ends = run(
        page,
        """Array.from(everyRow, (row) => {
            const one = findRun(Object.fromEntries(PLAYED.map((name) => [name, settings[name].codes[row]])));
            return [one.params.at(-1), one.losses.at(-1), one.line.x[one.losses.length - 1], one.chart.notes];
        })""",
    )
    told = {"converged": "target reached", "max_epochs": "target missed"}
    played = 0
    for row, (params, loss, seen, ended) in zip(frame.itertuples(), ends, strict=True):
        if row.seed != 0 or row.status == "diverged":
            continue
        played += 1
        assert np.float32(params).tolist() == np.float32([row.param_a, row.param_b, row.param_c]).tolist()
        assert np.float32(loss) == np.float32(min(row.final_loss, float(np.finfo(np.float32).max)))
        assert (seen, ended) == (row.samples_seen, told[row.status])
    assert played > 20


def test_dragging_bends_the_curve(page, folder):
    material = read_run_data(folder)
    predict = curve_in_table_units(material.result.model, material.criterion, material.scaling)
    at = np.array(run(page, "player.view.at"))[:, np.newaxis]
    last = run(page, "lastStep()")
    curves = []
    for step in (0, last // 2, last):
        slide(page, step)
        curves.append(drawn_curve(page))
        params, seen = run(page, f"[player.run.params[{step}], player.run.line.x[{step}]]")
        np.testing.assert_allclose(curves[-1], predict(np.array(params), at), rtol=1e-5)
        told = run(page, "document.getElementById('play-says').textContent")
        assert told.startswith(f"{text(seen)} sample")
        assert all(f"{name} = {text(value)}" in told for name, value in zip("abc", params, strict=True))
        dots = "['fall', 'path'].map((name) => document.querySelector(`#chart-${name} .plot`).data.at(-1).x[0])"
        assert run(page, dots)[0] == max(seen, run(page, "player.run.chart.panels[0].x.range[0]"))
        assert run(page, dots)[1] == pytest.approx(params[run(page, "player.plane.pair[0]")])
    assert not np.allclose(curves[0], curves[1])
    assert not np.allclose(curves[1], curves[2])
    assert complaints(page) == []


def test_a_run_is_played_by_a_key_and_stops_at_its_end(page):
    button = "document.getElementById('play-button').textContent"
    watched = "(window.seen = [], (move => (moveTo = (step) => (seen.push(step), move(step))))(moveTo), 1)"
    run(page, watched)
    press(page, Keys.ENTER, on="#play-button")
    assert run(page, button) == "Pause"
    WebDriverWait(page, 60, 0.05).until(lambda driver: run(driver, button) == "Play")
    seen = run(page, "seen")
    assert seen[0] == 0
    assert seen[-1] == run(page, "lastStep()") == int(run(page, "document.getElementById('play-slider').value"))
    assert len(seen) > 3
    assert all(one < other for one, other in pairwise(seen))
    press(page, Keys.ARROW_LEFT, on="#play-slider")
    assert run(page, "player.step") == seen[-1] - 1


def test_a_path_that_leaves_its_optimum_and_returns_is_seen_whole(page):
    b = [0, -0.1, -0.08, -0.12, -0.09, -0.02]  # as that of a constant, which is 0 where columns are standardized
    path = {"losses": [1, 0.5, 0.3, 0.2, 0.1, 0], "params": [[k / 5, value] for k, value in enumerate(b)]}
    low, high = run(page, "planeOf(arguments[0]).sides[1].range", path)
    assert low < min(b)
    assert high > max(b)


def test_the_shades_of_contours_are_named_in_both_themes(page):
    for theme, shade in (("dark", "Brighter"), ("light", "Darker")):
        run(page, f"(root.dataset.theme = '{theme}', redraw('path'))")
        assert f"{shade} is lower; each line is four times" in caption(page, "path")


def test_the_page_evaluates_models_and_losses_as_python_does(page, folder):
    model = Model(
        "a*exp(-b*x**2) + sqrt(abs(x))*log(c + x**2)/(1 + tanh(x)) - sin(x)**3 + cos(x)*atan(x) + x**1.5 "
        "+ max(x, b) - min(a, x)*relu(x - 1) + where(x < b, sigmoid(x), softplus(x)) + where(c <= x, 1, 2) "
        "+ erf(x - 1) + erf(3*x) + log1p(x) + expm1(x) + sinh(x)/cosh(x)"
    )
    x, theta = np.linspace(0.1, 2, 9), [1.3, 0.7, 2.1]
    program = encode_program(model.program)
    found = run(
        page,
        "Array.from(residuals(arguments[0], arguments[1], [Float64Array.from(arguments[2])], 0))",
        program,
        theta,
        x.tolist(),
    )
    np.testing.assert_allclose(found, model.predict(theta, x), rtol=1e-12)
    material = read_run_data(folder)
    surface = loss_surface(material.result.model, material.criterion, material.data)
    points = np.random.default_rng(0).normal(size=(5, 3))
    np.testing.assert_allclose(run(page, "arguments[0].map(lossAt)", points.tolist()), surface(points), rtol=1e-12)
    predictions, targets = np.linspace(-3, 3, 8), np.tile([0.0, 1.0], 4)
    for name in PLAYED:
        loss = make_loss(name)
        if loss.of_residual:
            if name != "squared":
                options = tuple(loss.options.values())
                values = f"arguments[0].map((r) => RESIDUAL_VALUES.{name}(r, arguments[1]))"
                found = run(page, values, predictions.tolist(), options)
                np.testing.assert_allclose(found, loss.value(predictions, options), rtol=1e-12)
            continue
        values = f"arguments[0].map((f, i) => LOSS_VALUES.{name}(f, arguments[1][i]))"
        found = run(page, values, predictions.tolist(), targets.tolist())
        np.testing.assert_allclose(found, loss.value(predictions, targets, ()), rtol=1e-12)
        if loss.mean:
            found = run(page, f"arguments[0].map(MEANS.{name})", predictions.tolist())
            np.testing.assert_allclose(found, loss.mean_of(predictions), rtol=1e-12)


def test_a_click_on_a_cell_shows_its_curves(page, folder):
    before = caption(page, "cell")
    run(page, "document.getElementById('map').scrollIntoView({behavior: 'instant'})")
    area = page.find_element(By.CSS_SELECTOR, "#chart-map .nsewdrag")
    width, height = area.size["width"], area.size["height"]
    # The first of three rates, the last of two batch sizes, whose axis goes up; measured from the middle.
    mouse = ActionChains(page).move_to_element_with_offset(area, -round(width / 3), -round(height / 4))
    mouse.pause(0.3).click().pause(0.3).perform()
    told = caption(page, "cell")
    assert told != before
    assert "learning rate 0.02, batch size full" in told
    frame = load_run(folder).frame
    chosen = frame[(frame["optimizer"] == "sgd") & (frame["lr"] == 0.02) & (frame["batch_size"] == 60)]
    assert f"{sum(chosen['status'] == 'converged')} of {len(chosen)} runs reached the target" in told
    points = run(page, "document.querySelector('#chart-cell .plot').data.flatMap((t) => t.x.filter((x) => x !== null))")
    stored = load_run(folder).read_curves(chosen["config_id"].tolist())
    assert len(points) == len(stored)
    # Samples seen, with the start half as far as the first checkpoint.
    assert sorted(set(points)) == sorted({seen or 30 for seen in stored["samples"]})


def test_keys_choose_a_cell_and_zoom(page):
    run(page, "document.querySelector('#chart-map .plot').focus()")
    press(page, *[Keys.ARROW_DOWN] * 5, *[Keys.ARROW_LEFT] * 5)
    assert "learning rate 0.02, batch size 4" in caption(page, "cell")
    press(page, Keys.ARROW_UP)
    assert "learning rate 0.02, batch size full" in caption(page, "cell")
    press(page, Keys.ARROW_RIGHT)
    assert "learning rate 0.2, batch size full" in caption(page, "cell")
    view = "document.querySelector('#chart-loss .plot')._fullLayout.xaxis.range"
    run(page, "document.querySelector('#chart-loss .plot').focus()")
    (left, right), was = run(page, view), run(page, view)
    press(page, "+")
    closer = run(page, view)
    assert closer[1] - closer[0] < right - left
    press(page, "0")
    assert run(page, view) == pytest.approx(was)


def test_an_optimizer_is_hidden_in_all_charts(page):
    before = {name: traces(page, name) for name in ("loss", "rates", "time")}
    assert min(before.values()) > 1
    click(page, "#chart-loss .legend button", "momentum(0.9)")
    for name, count in before.items():
        assert traces(page, name) == count // 2
        pressed = "[...document.querySelectorAll('#chart-{} .legend button')].map((b) => b.ariaPressed)"
        assert run(page, pressed.format(name)) == ["true", "false"]
    click(page, "#chart-loss .legend button", "momentum(0.9)")
    assert {name: traces(page, name) for name in before} == before


def rows(driver, column):
    place = f"[...document.querySelectorAll('#rows th')].findIndex((th) => th.dataset.name === '{column}')"
    return run(
        driver,
        f"((at) => [...document.querySelectorAll('#rows tbody tr')].map((tr) => tr.cells[at].textContent))({place})",
    )


def sorted_by(driver, column):
    return run(driver, f"document.querySelector('#rows th[data-name={column}]').ariaSort")


def test_the_table_is_sorted_by_click_and_by_key(page, folder):
    frame = load_run(folder).frame
    click(page, "#rows th[data-name=final_loss] button")
    assert sorted_by(page, "final_loss") == "ascending"
    losses = frame["final_loss"].sort_values().head(20)
    assert rows(page, "final_loss") == [text(loss) for loss in losses]
    press(page, Keys.ENTER, on="#rows th[data-name=final_loss] button")
    assert sorted_by(page, "final_loss") == "descending"
    assert rows(page, "final_loss")[0] == text(frame["final_loss"].max())
    click(page, "#rows th[data-name=lr] button")
    assert (sorted_by(page, "lr"), sorted_by(page, "final_loss")) == ("ascending", "none")
    assert set(rows(page, "lr")) == {"0.02"}


def test_the_table_is_filtered_and_turned(page):
    told = "document.querySelector('#pages output').textContent"
    assert run(page, told) == "1\N{EN DASH}20 of 72 configurations"
    click(page, "#pages button", "Next")
    assert run(page, told) == "21\N{EN DASH}40 of 72 configurations"
    press(page, "momentum diverged", on="#filters input")
    assert set(rows(page, "optimizer")) == {"momentum(0.9)"}
    assert set(rows(page, "status")) == {"diverged"}
    press(page, " nowhere", on="#filters input")
    assert run(page, told) == "No configuration matches these filters."
    press(page, Keys.CONTROL, "a", on="#filters input")
    press(page, Keys.DELETE)
    assert run(page, told) == "1\N{EN DASH}20 of 72 configurations"


def copy(driver, selector, named):
    """Click a button that copies, and wait for it to say that it has."""
    told = "document.getElementById('toast').textContent"
    run(driver, f"({told} = '')")
    click(driver, selector, named)
    WebDriverWait(driver, 5, 0.05).until(lambda driver: run(driver, told) == "Copied")


def test_the_best_row_can_be_copied(page):
    """By the button, as far as the text field that it is pasted into."""
    copy(page, "#rows tbody tr:first-child button", "Python")
    run(page, "document.body.append(Object.assign(document.createElement('textarea'), {id: 'paste'}))")
    press(page, Keys.CONTROL, "v", on="#paste")
    assert run(page, "document.getElementById('paste').value") == code_of(page, "python", run(page, "view.rows[0]"))


def code_of(driver, language, row):
    return run(driver, "asCode(arguments[0], arguments[1])", row, language)


def test_what_is_copied_makes_the_same_run_again(page, folder, tmp_path):
    frame = load_run(folder).frame
    for row in (0, 40, 71):
        made = {}
        exec(code_of(page, "python", row), made)
        assert made["result"].loss[-1] == pytest.approx(frame["final_loss"][row], rel=0, abs=0, nan_ok=True)
        (tmp_path / "one.toml").write_text(code_of(page, "toml", row), encoding="utf-8")
        study = load_study(tmp_path / "one.toml")
        assert study.make_grid().size == 1
        assert study.run.target == 0.02
        plan = study.make_grid().frame(study.make_model(study.dataset()[0]), 60).iloc[0]
        for name in ("lr", "batch_size", "optimizer", "schedule", "seed", "shuffle"):
            assert plan[name] == frame[name][row]
        assert list(plan[["start_a", "start_b", "start_c"]]) == load_run(folder).starts[row].tolist()


def test_the_page_begins_with_the_recommended_choice(page, folder):
    run_data = read_run_data(folder)
    expected = recommended_choice(run_data.ranked)
    winner = runs_of(run_data.frame, expected)
    ids = "[...rowsWith(Object.fromEntries(CHOICE.map((name) => [name, {}[name]])))].map(idOf)"
    assert run(page, ids.replace("{}", "run.chosen")) == winner["config_id"].tolist()


def test_numbers_are_written_as_in_the_tables(page):
    values = [0.0, -12.5, 1 / 3, 9.9996e-5, 6.0579e-30, 999.96, 123456.7, 999999.7, 2.5e12, 800, 0.00012345678]
    assert run(page, "arguments[0].map(text)", values) == [text(value) for value in values]


def test_light_and_dark_can_be_switched(page):
    chart = "document.querySelector('#chart-loss .plot').layout.paper_bgcolor"
    background = f"[getComputedStyle(document.body).backgroundColor, {chart}]"
    light = run(page, background)
    click(page, "#theme", "Dark")
    dark = run(page, background)
    assert light[0] != dark[0]
    assert light[1] != dark[1]
    click(page, "#theme", "Light")
    assert run(page, background) == light


def test_headings_are_in_order_and_everything_has_a_name(page):
    levels = run(page, "[...document.querySelectorAll('h1, h2, h3')].map((h) => Number(h.tagName[1]))")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    unnamed = """[...document.querySelectorAll('button, select, input, img')].filter((e) =>
        !(e.textContent.trim() || e.ariaLabel || e.alt || e.labels?.length)).map((e) => e.outerHTML)"""
    assert run(page, unnamed) == []
    assert run(page, "document.querySelectorAll('main, header, footer, nav').length") == 4


def contrast(one, other):
    """The contrast of two colors, each of three numbers up to 255, as in WCAG 2."""
    values = np.array([one, other]) / 255
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    low, high = sorted(linear @ [0.2126, 0.7152, 0.0722])
    return (high + 0.05) / (low + 0.05)


@pytest.fixture(params=["light", "dark"])
def themed(page, request):
    """The page in each of its themes."""
    was = run(page, "root.dataset.theme")
    run(page, "root.dataset.theme = arguments[0]", request.param)
    yield page
    run(page, "root.dataset.theme = arguments[0]", was)


def test_shades_and_texts_can_be_told_apart(themed):
    least = {("poor", "missed"): 3, ("good", "missed"): 3, ("edge", "paper"): 3, ("ink", "lost"): 4.5}
    for pair, wanted in (least | {("ink", "missed"): 4.5}).items():
        colors = [run(themed, f"color('{name}')") for name in pair]
        assert contrast(*([*bytes.fromhex(color[1:7])] for color in colors)) >= wanted, pair


# The texts outside of charts, each with its color and with that of what lies behind it.
COLORED_TEXTS = """(() => {
    const read = (color) => color.match(/[\\d.]+/g).map(Number);
    const behind = (one) => {
        const [red, green, blue, alpha = 1] = read(getComputedStyle(one).backgroundColor);
        return alpha ? [red, green, blue] : behind(one.parentElement);
    };
    const found = [];
    for (const one of document.querySelectorAll('body *')) {
        const words = [...one.childNodes].filter((node) => node.nodeType === 3 && node.data.trim());
        if (!words.length || one.closest('svg, script, noscript') || one.disabled || !one.checkVisibility()) continue;
        found.push([words[0].data.trim(), read(getComputedStyle(one).color).slice(0, 3), behind(one)]);
    }
    return found;
})()"""


def test_every_text_can_be_read_on_what_lies_behind_it(themed):
    run(themed, "(document.querySelectorAll('details').forEach((one) => (one.open = true)), 1)")
    texts = run(themed, COLORED_TEXTS)
    run(themed, "(document.querySelectorAll('details').forEach((one) => (one.open = false)), 1)")
    assert len(texts) > 100
    assert [words for words, color, behind in texts if contrast(color, behind) < 4.5] == []


def test_a_pointer_on_the_map_covers_no_cell(page):
    run(page, "document.getElementById('map').scrollIntoView({behavior: 'instant'})")
    before = caption(page, "map")
    area = page.find_element(By.CSS_SELECTOR, "#chart-map .nsewdrag")
    ActionChains(page).move_to_element_with_offset(area, -round(area.size["width"] / 3), 0).pause(0.5).perform()
    assert caption(page, "map").startswith("sgd, learning rate 0.02, batch size ")
    assert run(page, "document.querySelectorAll('#chart-map .hoverlayer > *').length") == 0
    ActionChains(page).move_to_element(page.find_element(By.CSS_SELECTOR, "#map-title")).pause(0.5).perform()
    assert caption(page, "map") == before


def test_the_answer_can_be_copied(page):
    """tests/bench/report/test_reproduce.py runs what is copied."""
    copy(page, ".copies button", "Copy as command")


def test_few_links_lead_on(page):
    links = "[...document.querySelectorAll('nav a')].map((a) => a.getAttribute('href'))"
    assert 0 < len(run(page, links)) <= 7
    assert run(page, f"{links}.every((link) => document.querySelector(link) !== null)")


def test_paper_is_white(page):
    run(page, "(root.dataset.theme = 'dark')")
    for event, theme in (("beforeprint", "light"), ("afterprint", "dark")):
        assert run(page, f"(dispatchEvent(new Event('{event}')), root.dataset.theme)") == theme
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    for selector in (".modebar", "#rows td button", "#theme", "#map .controls"):
        assert run(page, f"document.querySelector('{selector}').checkVisibility()") is False
    assert run(page, "document.querySelector('#rows td:nth-child(2)').checkVisibility()")
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_the_study_on_the_page_is_the_one_that_was_run(page, folder):
    shown = run(page, "document.getElementById('study').textContent")
    assert tomllib.loads(shown) == tomllib.loads((folder / "run.toml").read_text(encoding="utf-8"))


# What changes the page


def test_everything_is_reached_by_the_keyboard(fresh):
    """By the tabulator, in the order of the page, and what has the focus shows it."""
    wanted = """[...document.querySelectorAll('a[href], button, select, input, summary, [tabindex="0"]')]
        .filter((one) => !one.disabled && one.checkVisibility())"""
    run(
        fresh,
        f"(window.wanted = {wanted}, window.met = [], document.addEventListener('focusin', (event) => "
        "met.push([wanted.indexOf(event.target), getComputedStyle(event.target).outlineStyle])), 1)",
    )
    total = run(fresh, "wanted.length")
    assert total > 40
    run(fresh, "(document.activeElement.blur(), scrollTo(0, 0), 1)")
    ActionChains(fresh).send_keys(Keys.TAB * total).perform()
    met = run(fresh, "met")
    assert [place for place, _ in met] == list(range(total))
    assert {style for _, style in met} == {"solid"}


def test_a_run_of_one_checkpoint_and_one_that_is_left_out_are_no_obstacle(fresh):
    shown = "redraw('bend', 'fall', 'path'), tellStep(), startPlaying(), player.timer"
    first = "['losses', 'params'].map((name) => [name, player.run[name].slice(0, 1)])"
    cut = f"Object.assign(player.run, Object.fromEntries({first}))"
    assert run(fresh, f"({cut}, player.plane = planeOf(player.run), player.step = 0, {shown})") is None
    assert run(fresh, "document.getElementById('play-says').textContent").startswith("0 samples seen, loss ")
    assert len(drawn_curve(fresh)) > 100
    assert run(fresh, f"(play.places.clear(), openRun(), {shown})") is None
    assert caption(fresh, "bend") == "Of this run the page holds nothing to draw."
    assert run(fresh, "document.getElementById('play-button').disabled")
    assert complaints(fresh) == []


def test_a_cell_of_the_map_is_played_and_lists_agree(fresh):
    run(fresh, "choose(0, 1)")
    shown = run(
        fresh, "[...document.querySelectorAll('#controls-play select')].map((one) => one.selectedOptions[0].text)"
    )
    assert {"0.02", "full"} <= set(shown)
    assert run(fresh, "[player.run.codes.lr, player.run.codes.batch_size]") == [0, 1]
    optimizers = "['play', 'map'].map((name) => document.querySelector(`#controls-${name} select`).selectedIndex)"
    before = run(fresh, optimizers)
    assert before[0] == before[1]
    change = "((list) => (list.value = arguments[0], list.dispatchEvent(new Event('change'))))"
    run(fresh, f"{change}(document.querySelector('#controls-map select'))", 1 - before[0])
    assert run(fresh, optimizers) == [1 - before[0]] * 2
    assert run(fresh, "player.run.codes.optimizer") == 1 - before[0]


def test_axes_are_switched(changing):
    kind = "document.querySelector('#chart-loss .plot')._fullLayout.{}axis.type"
    assert [run(changing, kind.format(axis)) for axis in "xy"] == ["log", "log"]
    ticks = "[...document.querySelectorAll('#chart-loss .xtick text')].map((t) => t.textContent)"
    assert run(changing, ticks)[0] == "0"
    click(changing, "#chart-loss .controls button", "y linear")
    click(changing, "#chart-loss .controls button", "x linear")
    assert [run(changing, kind.format(axis)) for axis in "xy"] == ["linear", "linear"]
    title = "document.querySelector('#chart-loss .xtitle').textContent"
    assert run(changing, title) == "samples seen"
    for button, name in (("updates", "updates"), ("time", "time")):
        click(changing, "#chart-loss .controls button", button)
        assert run(changing, title) == name
    assert "updates times the measured time of an update with the kernel fused" in caption(changing, "loss")
    assert complaints(changing) == []


def test_a_cell_shows_what_its_runs_need_in_every_currency(changing, folder):
    run_data = read_run_data(folder)
    chosen = run(changing, "['optimizer', 'lr'].map((name) => settings[name].shown[state[name]])")
    row = recommended_choice(run_data.ranked)
    assert chosen == [row["optimizer"], text(row["lr"])]
    word = """document.querySelector('#chart-map .plot').layout.annotations
        .find((one) => one.x === state.lr && one.y === state.batch_size).text"""
    shown = {}
    for name in ("samples", "updates", "seconds", "share", "final_loss"):
        titles = run(changing, "run.map_measures.map(([name]) => name)")
        change = f"""((list) => {{ list.value = {titles.index(name)}; list.dispatchEvent(new Event('change')); }})(
            [...document.querySelectorAll('#controls-map select')].at(-1))"""
        run(changing, change)
        shown[name] = run(changing, word)
    assert shown == {
        "samples": text(row["samples"], 3),
        "updates": text(row["updates"], 3),
        "seconds": duration(row["seconds"]),
        "share": f"{row['converged']}/{row['runs']}",
        "final_loss": text(float(run_data.loss_axis.place(row["final_loss"])), 3),
    }


def test_the_title_of_a_low_chart_is_as_high_as_the_chart(changing):
    long = "half Poisson deviance above the lowest possible, 0.56 (standardized)"
    shown = "[run.charts.time, player.run.chart, run.cells[mapName()][placeOf(state.lr, state.batch_size)]]"
    run(changing, f"({shown}.forEach((one) => (one.panels[0].y.title = arguments[0])), redraw())", long)
    inside = """((plot) => {
        const [title, all] = [plot.querySelector('.ytitle'), plot].map((one) => one.getBoundingClientRect());
        return title.height > 50 && title.top >= all.top && title.bottom <= all.bottom;
    })(document.querySelector('#chart-%s .plot'))"""
    assert [name for name in ("fall", "cell", "time") if not run(changing, inside % name)] == []


def test_a_linear_axis_stays_where_all_optimizers_are_hidden(changing):
    for name in OPTIMIZERS:
        run(changing, f"(lossLook.y = timeLook.y = false, state.hidden.add('{name}'), redraw())")
    for name in ("loss", "time"):
        assert run(changing, f"document.querySelector('#chart-{name} .plot').layout.yaxis.range[1]") > 0.02
    assert complaints(changing) == []


# Other widths, no scripts, and other pages


@contextmanager
def at_width(driver, page, width):
    """The page as it is on a screen of another width."""
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        yield opened(driver, page)
    finally:
        driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


# What lies over something else that it is beside, of some elements, by more pixels down than are allowed.
OVERLAPS = """const overlaps = (all, most) => {
    const boxes = all.map((one) => [one.textContent, one.getBoundingClientRect()]);
    return boxes.flatMap(([said, one], i) => boxes.slice(i + 1).filter(([, other]) =>
        Math.min(one.right, other.right) - Math.max(one.left, other.left) > 1 &&
        Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top) > most
    ).map(([other]) => `${said} over ${other}`));
};"""
# Texts of charts that are cut off at an edge of their chart, or lie over each other.
BAD_TEXTS = f"""(() => {{
    {OVERLAPS}
    return [...document.querySelectorAll('.plot')].flatMap((plot) => {{
        const frame = plot.getBoundingClientRect();
        const texts = [...plot.querySelectorAll('svg text')].filter((one) => one.textContent.trim());
        const cut = texts.filter((one) => {{
            const box = one.getBoundingClientRect();
            return box.left < frame.left - 1 || box.right > frame.right + 1 || box.bottom > frame.bottom + 1;
        }});
        return [...cut.map((one) => `${{one.textContent}} is cut off`), ...overlaps(texts, 3)]
            .map((said) => `${{plot.parentElement.id}}: ${{said}}`);
    }});
}})()"""
# Texts of the page that do not fit into their boxes, and controls that lie over each other.
BAD_BOXES = f"""(() => {{
    {OVERLAPS}
    const tight = '.answer b, .tiles b, .tiles small, h1, h2, h3, dt, dd, p:not(.unseen), button, .legend > *, ' +
        'figcaption, .notes li, #play-says > *';
    const wide = [...document.querySelectorAll(tight)].filter((one) =>
        one.scrollWidth > one.clientWidth + 1 && getComputedStyle(one).display !== 'inline');
    const rows = 'tr, .controls, .legend, .tiles, .answer, .scenes, main, section, .chart';
    return [...wide.map((one) => `${{one.tagName}}: ${{one.textContent}}`), ...[...document.querySelectorAll(rows)]
        .flatMap((row) => overlaps([...row.children].filter((one) => !one.matches('.unseen')), 1))];
}})()"""


@pytest.mark.parametrize("width", [390, 1440])
def test_nothing_is_cut_off_or_covered_at_any_width(browser, folder, width):
    with at_width(browser, folder / "report.html", width) as page:
        assert run(page, "document.documentElement.scrollWidth") == width
        assert run(page, BAD_TEXTS) == []
        assert run(page, BAD_BOXES) == []
        # What is wider than the page scrolls inside of its own box.
        wide = """[...document.querySelectorAll('main *')].filter((one) => !one.closest('.scroll, pre, svg, .plot')
            && one.getBoundingClientRect().right > innerWidth + 1).map((one) => one.outerHTML.slice(0, 80))"""
        assert run(page, wide) == []
        # A word without an end, such as the path of a file or an optimizer with its options, is broken.
        for name in ("section p", ".chart figcaption"):
            run(page, f"(document.querySelector('{name}').textContent = 'x'.repeat(400), 1)")
        assert run(page, "document.documentElement.scrollWidth") == width
        sticky = "[...document.querySelectorAll('th, td')].filter((one) => getComputedStyle(one).position !== 'static')"
        assert run(page, f"{sticky}.length") == 0


def test_without_scripts_nothing_is_empty(browser, folder):
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    browser.get((folder / "report.html").as_uri())
    seen = {
        name: browser.find_element(By.ID, name).is_displayed() for name in ("play", "map", "optimizers", "chart-fit")
    }
    links = [link.text for link in browser.find_elements(By.CSS_SELECTOR, "nav a") if link.is_displayed()]
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    assert seen == {"play": False, "map": False, "optimizers": True, "chart-fit": False}
    assert {"Watch a run", "Map"}.isdisjoint(links)
    assert "How to reproduce" in links


def test_without_a_target_nothing_speaks_of_targets(browser, one_figure_here, tmp_path):
    x = np.linspace(-1, 1, 40)
    grid = Grid(lr=[0.1, 0.2, 50.0], batch_size=[1, "full"], optimizer=OPTIMIZERS, seed=[0, 1], shuffle=True)
    result = sweep(MODEL, x, 2 * x, grid, epochs=30, kernel="fused", out=tmp_path / "run")
    store_tables(tmp_path / "run", costs=make_costs(result.frame))
    page = opened(browser, write_run_report(read_run_data(tmp_path / "run")))
    run(page, "document.querySelectorAll('details').forEach((one) => (one.open = true))")
    written = run(page, "document.querySelector('main').innerText")
    drawn = "[...document.querySelectorAll('main svg text, main option')].map((one) => one.textContent).join(' ')"
    told = written + run(page, drawn)
    assert "final loss" in told
    assert not re.search("target|reach|converged", told, re.IGNORECASE)
    assert complaints(browser) == []


def test_several_runs_are_drawn_side_by_side(browser, folder, tmp_path):
    x = np.linspace(-1, 1, 40)
    sweep(MODEL, x, 2 * x, Grid(lr=[0.1, 0.2]), epochs=9, kernel="fused", out=tmp_path / "plain")
    *_, together = write_reports([folder, tmp_path / "plain"], tmp_path / "together.html")
    page = opened(browser, together)
    assert traces(page, "loss") == 4
    entries = "[...document.querySelectorAll('#chart-loss .legend button')].map((b) => b.textContent)"
    assert run(page, entries) == [text(TITLE), "plain"]
    click(page, "#chart-loss .legend button", "plain")
    assert traces(page, "loss") == 2
    assert run(page, "[...document.querySelectorAll('#best th')].map((th) => th.textContent)") == [
        "",
        text(TITLE),
        "plain",
    ]
    assert complaints(page) == []


def test_charts_show_the_losses_on_held_out_samples_beside_the_others(browser, one_figure_here, tmp_path):
    rng = np.random.default_rng(3)
    x = rng.uniform(-1, 1, 80)
    grid = Grid(lr=[0.3, 0.9], init={"zero": [0.0, 0.0], "far": [9.0, -9.0]}, seed=range(3), shuffle=True)
    settings = {"epochs": 24, "record": "log:4", "validation": 0.3, "test": 0.25, "kernel": "reference", "confirm": 0}
    result = sweep("a*x + b", x, x + rng.normal(0, 0.5, 80), grid, out=tmp_path, **settings)
    curve = result.read_curves([result.frame["config_id"].iloc[0]])
    page = opened(browser, result.report())
    drawn = """(() => {
        const traces = (name) => document.querySelector(`#chart-${name} .plot`).data;
        const dashed = (name) => traces(name).filter((one) => one.line.dash === "4px,3px").length;
        const lines = run.cells[mapName()][0].panels[0].layers;
        const [trained, heldOut] = [lines[0], lines[lines.length / 2]];
        return [dashed("cell"), dashed("loss"), traces("cell").length, trained.x, trained.y, heldOut.y,
                document.querySelector("#chart-cell .legend").textContent];
    })()"""
    cell, loss, lines, samples, losses, held_out, legend = run(page, drawn)
    assert (cell, lines, loss) == (6, 12, 1)
    assert "on held-out samples" in legend
    places = np.searchsorted(curve["samples"], samples)
    np.testing.assert_allclose(losses, curve["loss"].iloc[places], rtol=1e-3)
    np.testing.assert_allclose(held_out, curve["validation_loss"].iloc[places], rtol=1e-3)
    assert complaints(page) == []
    told = run(page, "document.querySelector('main').textContent")
    assert told.index("on test rows") < told.index("run diverged")


def test_a_page_without_a_single_run_complains_of_nothing(browser, folder, tmp_path):
    begun = shutil.copytree(folder, tmp_path / "begun")
    for part in (begun / "parts").iterdir():
        part.unlink()
    browser.get(write_run_report(read_run_data(begun)).as_uri())
    assert "Nothing has been trained yet." in run(browser, "document.querySelector('main').textContent")
    before = run(browser, "getComputedStyle(document.body).backgroundColor")
    click(browser, "#theme")
    assert run(browser, "getComputedStyle(document.body).backgroundColor") != before
    assert complaints(browser) == []


def test_a_run_that_diverges_in_its_first_update_is_a_dot(browser, one_figure_here, tmp_path):
    x = np.linspace(-1, 1, 40)
    sweep(MODEL, x, 2 * x, Grid(lr=1e200), epochs=2, kernel="reference", out=tmp_path / "run")
    page = opened(browser, write_run_report(read_run_data(tmp_path / "run")))
    for chart in ("cell", "loss"):
        assert run(page, f"document.querySelectorAll('#chart-{chart} .scatterlayer .point').length") == 1
    assert "| setting | value |" not in (tmp_path / "run" / "report.md").read_text("utf-8")  # a table without rows
    assert complaints(page) == []


def test_rows_of_a_model_with_many_parameters_are_copied_by_rules(browser, one_figure_here, tmp_path):
    x = np.random.default_rng(0).normal(size=(40, 30))
    names = [f"x{k}" for k in range(30)]
    table, header = np.c_[x, x.sum(axis=1)], ",".join([*names, "y"])
    np.savetxt(tmp_path / "wide.csv", table, delimiter=",", header=header, comments="")
    (tmp_path / "wide.toml").write_text(
        f'name = "wide"\n[data]\npath = "wide.csv"\nx = {names}\ny = "y"\n[model]\nexpression = "w @ x + b"\n'
        '[grid]\nlr = [0.01, 0.1]\nseed = [3, 4]\nshuffle = true\ninit = { zero = "zero", drawn = "normal:0.1:2" }\n'
        '[run]\nepochs = 2\nkernel = "reference"\nconfirm = 0\n'
    )
    result = train_study(load_study(tmp_path / "wide.toml"), tmp_path / "run")
    opened(browser, write_run_report(read_run_data(tmp_path / "run")))
    assert complaints(browser) == []
    for row in range(len(result.frame)):
        made, code = {}, code_of(browser, "python", row).rstrip().removesuffix(")")
        exec(f'{code}    kernel="reference",\n)', made)  # as the sweep: nothing is compiled
        assert made["result"].loss[-1] == result.frame["final_loss"][row]
        (tmp_path / "one.toml").write_text(code_of(browser, "toml", row), encoding="utf-8")
        one = load_study(tmp_path / "one.toml")
        assert np.array_equal(one.make_grid().starts(result.model)[-1, 0], result.starts[row])


def test_rates_at_which_runs_end_at_the_lowest_loss_have_markers(browser, one_figure_here, tmp_path):
    x = np.ones(4)  # half of the way is left at each update, down to a distance of 0
    settings = {"init": {"near": [3.0]}, "lr": [0.5, 1.0], "batch_size": ["full"]}
    result = sweep("a*x", x, x, Grid(**settings), epochs=80, kernel="reference", confirm=0, out=tmp_path / "run")
    assert (result.frame["final_loss"] == 0).all()
    page = opened(browser, write_run_report(read_run_data(tmp_path / "run")))
    drawn = run(page, "document.querySelector('#chart-rates .plot').data.map(({ mode, y }) => [mode, y])")
    heights = next(y for mode, y in drawn if mode == "markers")
    assert len(heights) == 2
    assert min(heights) > 0
