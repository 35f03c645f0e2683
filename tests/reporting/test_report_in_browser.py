"""The report in a real browser: it opens without an error, and every control does what it says."""

import os
import shutil

import pytest

from muon_theory.reporting.run_report import report_data, write_report

pytestmark = pytest.mark.browser
CHROMIUM = os.environ.get("CHROMIUM") or next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("needs Chromium: install it, or name it in the environment variable CHROMIUM")
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install muon_theory[browser]")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def file(tmp_path_factory, recorded, evil):
    import pandas as pd

    drift = pd.DataFrame([
        {"run": "one", "layer": "a.weight", "kind": "gradient", "step": 10 * i, "since": 10 * i - 10, "k": 4,
         "left_overlap": 0.5, "right_overlap": 0.25, "left_angle": 1.0, "right_angle": 1.2}
        for i in range(1, 12)
    ])  # fmt: skip
    table = pd.concat([
        recorded(runs=("one",), kinds=("gradient", "lmo_input", "update")),
        recorded(steps=5, runs=("two",), layers=("other.weight", evil), kinds=("weight",)),
    ])
    path = tmp_path_factory.mktemp("report") / "report.html"
    return write_report(report_data(table, title=f"Run {evil}", drift=drift), path)


@pytest.fixture
def page(browser, file):
    """The page, freshly opened; a test fails where the console shows an error or a request leaves the file."""
    opened = browser.new_page(viewport={"width": 1300, "height": 900})
    problems: list[str] = []
    opened.on(
        "console", lambda message: problems.append(message.text) if message.type in {"error", "warning"} else None
    )
    opened.on("pageerror", lambda error: problems.append(str(error)))
    opened.on(
        "request",
        lambda request: problems.append(request.url) if not request.url.startswith(("file:", "data:")) else None,
    )
    opened.goto(file.as_uri())
    yield opened
    opened.close()
    assert problems == []


def drawn(page, chart):
    """The drawing of a chart as text, to see whether it changed."""
    return page.eval_on_selector(f"#{chart}", "chart => chart.innerHTML")


def names(page, chart):
    return page.eval_on_selector_all(f"#{chart} path.line", "paths => paths.map(path => path.dataset.name)")


def heights(page, chart, name):
    """The vertical places of a line's points, from the top."""
    text = page.get_attribute(f"#{chart} path.line[data-name='{name}']", "d")
    return [float(point.split(",")[1]) for point in text[1:].split("L")]


def test_it_opens_with_every_chart_drawn_and_evil_names_shown_as_text(page, evil):
    assert page.text_content("#title") == f"Run {evil}"
    assert page.title() != "broken"
    for chart in ("spectrum", "time", "rank", "deficit", "update", "drift"):
        assert page.locator(f"#{chart} svg").count() == 1, chart
    assert page.locator("#layers li").count() == 2
    assert "</script>" in page.inner_text("#layers li:nth-child(2)")
    assert page.locator("#content script, #layers script").count() == 0


def test_the_slider_moves_through_the_recorded_steps(page):
    assert page.input_value("#step") == "11"
    assert page.inner_text("#step-text") == "step 110 (12 of 12 shown)"
    page.select_option("#update-method", "jordan_2024")
    before = {chart: drawn(page, chart) for chart in ("spectrum", "time", "rank", "update")}
    page.focus("#step")
    page.keyboard.press("Home")
    assert page.inner_text("#step-text") == "step 0 (1 of 12 shown)"
    page.keyboard.press("ArrowRight")
    assert page.inner_text("#step-text") == "step 10 (2 of 12 shown)"
    assert {chart for chart, was in before.items() if drawn(page, chart) != was} == set(before)
    assert page.get_attribute("#step", "aria-valuetext") == "step 10"


def test_play_runs_to_the_end_and_pause_stops(page):
    page.clock.install()  # time passes only where the test says so
    page.reload()
    page.clock.pause_at(page.evaluate("Date.now()") / 1000 + 1)
    page.focus("#step")
    page.keyboard.press("Home")
    page.focus("#play")
    page.keyboard.press("Space")
    assert page.inner_text("#play") == "Pause"
    assert page.get_attribute("#play", "aria-pressed") == "true"
    page.clock.run_for(3 * 120 + 10)
    assert page.input_value("#step") == "3"
    page.click("#play")
    assert page.inner_text("#play") == "Play"
    page.clock.run_for(1000)
    assert page.input_value("#step") == "3"
    page.click("#play")
    page.clock.run_for(12 * 120)
    assert page.input_value("#step") == "11"
    assert page.inner_text("#play") == "Play"
    page.click("#play")  # from the end it begins anew
    page.clock.run_for(130)
    assert page.input_value("#step") == "1"


def test_kinds_are_drawn_or_not(page):
    assert names(page, "spectrum") == ["gradient", "lmo_input", "update"]
    page.uncheck("#kinds input[value=gradient]")
    assert names(page, "spectrum") == ["lmo_input", "update"]
    assert names(page, "rank") == ["lmo_input", "update"]
    assert "Nothing to show" in page.inner_text("#drift")
    for kind in ("lmo_input", "update"):
        page.uncheck(f"#kinds input[value={kind}]")
    assert page.inner_text("#spectrum") == "No kind is selected."
    page.check("#kinds input[value=update]")
    assert names(page, "spectrum") == ["update"]


def test_the_spectrum_falls_with_the_index_and_the_floor_lies_below(page):
    places = heights(page, "spectrum", "gradient")
    assert places == sorted(places)  # from the top: descending singular values
    assert len(places) == 16
    flat = heights(page, "spectrum", "update")
    assert len(set(flat)) == 1
    floor = page.get_attribute("#spectrum path.border", "d")
    assert float(floor.split(",")[1].split("L")[0]) > flat[0]  # 1e-3 is drawn below 2e-2
    assert page.locator("#spectrum path.floor").count() == 3


@pytest.mark.parametrize(
    ("box", "changed"),
    [
        ("log-sigma", {"spectrum", "time"}),
        ("log-index", {"spectrum", "time", "update"}),
        ("log-step", {"time", "rank", "deficit", "drift"}),
        ("relative", {"spectrum", "time"}),
    ],
)
def test_each_axis_box_changes_its_charts_and_back(page, box, changed):
    charts = ("spectrum", "time", "rank", "deficit", "update", "drift")
    before = {chart: drawn(page, chart) for chart in charts}
    page.click(f"#{box}")
    after = {chart: drawn(page, chart) for chart in charts}
    assert {chart for chart in charts if after[chart] != before[chart]} == changed
    page.click(f"#{box}")
    assert {chart: drawn(page, chart) for chart in charts} == before


def test_relative_spectra_start_at_one(page):
    page.check("#relative")
    starts = {heights(page, "spectrum", kind)[0] for kind in ("gradient", "lmo_input", "update")}
    assert len(starts) == 1


def test_spectra_over_time_as_heat_map_and_as_bands_of_each_kind(page):
    assert page.locator("#time image").count() == 1
    page.select_option("#time-view", "bands")
    assert page.locator("#time image").count() == 0
    assert names(page, "time") == ["largest", "median", "smallest"]
    top, middle, low = (heights(page, "time", name) for name in ("largest", "median", "smallest"))
    assert all(a <= b <= c for a, b, c in zip(top, middle, low, strict=True))
    assert low[0] > low[-1]  # the spectra flatten: the smallest rise
    before = drawn(page, "time")
    page.select_option("#time-kind", "update")
    assert drawn(page, "time") != before


def test_a_click_on_a_chart_over_time_sets_the_step(page):
    box = page.locator("#rank svg").bounding_box()
    page.mouse.click(box["x"] + 62, box["y"] + 60)
    assert page.inner_text("#step-text").startswith("step 0 ")
    page.mouse.move(box["x"] + 62, box["y"] + 60)
    assert page.inner_text("#rank .reading").startswith("step 0: gradient ")


def test_each_rank_can_be_shown(page):
    seen = set()
    for name in ("effective", "nuclear", "stable", "entropy"):
        page.select_option("#rank-name", name)
        seen.add(drawn(page, "rank"))
    assert len(seen) == 4


def test_deficits_by_steps_and_set(page):
    assert "jordan_2024" in names(page, "deficit")
    five = heights(page, "deficit", "jordan_2024")
    page.select_option("#deficit-steps", "1")
    assert heights(page, "deficit", "jordan_2024") != five
    button = page.locator("#deficit-sets button", has_text="jordan_2024")
    button.click()
    assert button.get_attribute("aria-pressed") == "false"
    assert "jordan_2024" not in names(page, "deficit")
    button.press("Enter")
    assert "jordan_2024" in names(page, "deficit")
    assert page.inner_text("#deficit-kind") == "on the recorded LMO input"


def test_the_best_iteration_is_preselected_and_another_fits_worse(page):
    assert page.input_value("#update-method") == "exact"
    assert page.is_disabled("#update-steps")
    assert "off by 0 %" in page.inner_text("#update-text")
    assert "0.02;" in page.inner_text("#update-text")
    page.select_option("#update-method", "jordan_2024")
    assert not page.is_disabled("#update-steps")
    assert "off by 0 %" not in page.inner_text("#update-text").split(".  Best")[0].split("Best")[0]
    before = drawn(page, "update")
    page.select_option("#update-steps", "2")
    assert drawn(page, "update") != before


def test_layers_are_found_chosen_and_walked_through_by_keyboard(page):
    before = drawn(page, "spectrum")
    page.fill("#search", "SCRIPT")
    assert page.locator("#layers li").count() == 1
    assert page.inner_text("#matches") == "1 of 2 layers"
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    assert page.get_attribute("#layers li", "aria-selected") == "true"
    assert page.get_attribute("#layers", "aria-activedescendant") == "layer-1"
    assert drawn(page, "spectrum") != before
    assert "were stored" in page.inner_text("#drift")
    page.fill("#search", "nowhere")
    assert page.locator("#layers li").count() == 0
    page.fill("#search", "")
    page.focus("#layers")
    page.keyboard.press("Home")
    assert page.get_attribute("#layers li >> nth=0", "aria-selected") == "true"
    assert drawn(page, "spectrum") == before
    page.click("#layers li >> nth=1")
    assert drawn(page, "spectrum") != before


def test_another_run_shows_its_own_kinds_and_says_what_is_missing(page):
    page.select_option("#run", label="two")
    assert page.inner_text("#summary").startswith("two: 5 recorded steps (0 to 40), 10 spectra, 2 layers")
    assert names(page, "spectrum") == ["weight"]
    assert page.inner_text("#step-text") == "step 40 (5 of 5 shown)"
    assert "No LMO input" in page.inner_text("#deficit")
    assert "Needs the kinds" in page.inner_text("#update")
    page.select_option("#run", label="one")
    assert names(page, "spectrum") == ["gradient", "lmo_input", "update"]


def test_the_plan_is_a_table_with_the_chosen_row_first(page):
    rows = page.locator("#plan tbody tr")
    assert rows.count() >= 3
    assert rows.nth(0).get_attribute("class") == "chosen"
    assert rows.nth(0).locator("td").nth(6).inner_text() == "100 %"
    name = rows.nth(0).locator("td").nth(0).inner_text()
    assert name in page.inner_text("#plan-text")


@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (800, "dark"), (1600, "dark")])
def test_it_fits_narrow_windows_and_dark_mode(browser, file, width, scheme):
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    opened = context.new_page()
    opened.goto(file.as_uri())
    assert opened.evaluate("document.documentElement.scrollWidth") <= width
    back, text = (opened.evaluate(f"getComputedStyle(document.body).{name}") for name in ("backgroundColor", "color"))
    brightness = [sum(map(int, value[4:-1].split(","))) for value in (back, text)]
    assert (brightness[0] < brightness[1]) == (scheme == "dark")
    assert abs(brightness[0] - brightness[1]) > 400
    context.close()


def test_everything_can_be_reached_by_tab(page):
    reached = set()
    page.focus("#search")
    for _ in range(60):
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.value"))
        page.keyboard.press("Tab")
    wanted = {
        "search",
        "layers",
        "play",
        "step",
        "gradient",
        "log-sigma",
        "relative",
        "time-kind",
        "time-view",
        "rank-name",
    }
    assert wanted | {"deficit-steps", "update-method"} <= reached
