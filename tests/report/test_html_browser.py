"""The page in a browser: no error, no request, and what it shows can be filtered and opened."""

import os
import re
import shutil

import made
import pytest
from records import numbers_of

from pytest_mutatenn.report.formats.html import write

playwright = pytest.importorskip(
    "playwright.sync_api", reason="needs playwright: pip install playwright"
)
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt install chromium")

# four cells of a network with pictures as inputs, as a user would write it
SUITE = """
import pytest
from pytest_mutatenn import kendall_tau, top1_agreement

pytestmark = pytest.mark.mutatenn(model={model!r}, inputs={inputs!r}, limit=6)

def test_labels_hold(predictions, reference):
    assert top1_agreement(predictions, reference) >= 0.95

def test_ranking_holds(predictions, reference):
    assert kendall_tau(predictions, reference).min() >= 0.9
"""


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        # as root, as in a container, Chromium does not start with its sandbox
        alone = ["--no-sandbox"] if os.geteuid() == 0 else []
        found = started.chromium.launch(executable_path=CHROMIUM, args=alone)
        yield found
        found.close()


class Opened:
    """A page, and all that it should not have done."""

    def __init__(self, context, file):
        self.file = file
        self.wrong = []
        self.page = context.new_page()
        self.page.on("console", lambda message: self.wrong.append(message.text))
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("dialog", lambda dialog: self.wrong.append(f"dialog {dialog.message}"))
        self.page.on("request", self.asked)

    def asked(self, request):
        if not request.url.startswith(("data:", self.file.as_uri())):
            self.wrong.append(request.url)

    def go(self, **state):
        self.page.goto("about:blank")
        shown = "&".join(f"{k}={made.quoted(v)}" for k, v in state.items())
        self.page.goto(f"{self.file.as_uri()}#{shown}")
        self.page.wait_for_selector("main > *")
        return self

    def texts(self, selector):
        return self.page.locator(selector).all_inner_texts()

    @property
    def text(self):
        return self.page.inner_text("body")


@pytest.fixture
def opened(browser, tmp_path):
    """Open a report's page; at the end nothing may be wrong with any."""
    pages = []

    def open_(record, **options):
        file = tmp_path / f"{len(pages)}.html"
        write(record, file)
        context = browser.new_context(**options)
        pages.append((Opened(context, file), context))
        return pages[-1][0]

    yield open_
    for page, context in pages:
        context.close()
        assert page.wrong == []


IDS = ".mutants a.id"


@pytest.mark.parametrize("view", ["overview", "mutants", "divergent", "cells", "run"])
@pytest.mark.parametrize(
    "record",
    [
        made.made(12),
        made.made(12, ("llvm-O2",)),
        made.made(12, models=3),
        made.made(0),
        made.empty(),
        made.combined(made.made(6)),
        # parts that nobody asked for
        {**made.made(6), "noise": None, "margins": None, "gates": [], "artefacts": None},
    ],
    ids=["four", "one cell", "three networks", "no mutants", "nothing", "combined", "not asked"],
)
def test_every_view_of_every_kind_of_report_opens(record, view, opened):
    page = opened(record).go(view=view)
    assert page.page.locator("main section").count() > 0
    assert not re.search(r"\b(undefined|null|NaN|\[object)", page.page.inner_text("main"))


def test_the_first_screen_has_score_gates_operators_and_layers(opened):
    record = made.made(60)
    page = opened(record).go()
    score = record["score"]["overall"]

    assert page.texts(".big") == [f"{score['score']:.1f} %"]
    assert f"{score['low']:.1f} to {score['high']:.1f} %" in page.text
    assert [text.split()[1] for text in page.texts(".gates li")] == ["passed", "failed"]
    assert page.texts(".heattable thead th")[1:-1] == sorted(cell["id"] for cell in record["cells"])
    verdicts = [
        there["verdict"]
        for mutant in record["mutants"]
        if mutant["operator"] == "boundary"
        for there in [mutant["cells"]["llvm-O0"]]
    ]
    detected = sum(verdict in ("KILLED", "CRASHED", "TIMEOUT") for verdict in verdicts)
    survived = verdicts.count("SURVIVED")
    name = page.page.get_by_label(re.compile("^boundary in llvm-O0: ")).get_attribute("aria-label")
    assert f"{detected} detected, {survived} survived" in name
    layers = page.texts(".bars .name")
    assert layers == sorted(layers, key=lambda text: int(re.findall(r"\d+", text)[0]))


def test_a_square_of_the_map_leads_to_its_mutants(opened):
    record = made.made(60)
    page = opened(record).go()
    page.page.get_by_label(re.compile("^boundary in c-O2: ")).click()
    expected = {m["id"] for m in record["mutants"] if m["operator"] == "boundary"}
    assert set(page.texts(IDS)) == expected


def test_the_list_is_filtered_and_the_address_keeps_it(opened):
    record = made.made(60)
    page = opened(record).go(view="mutants")
    assert len(page.texts(IDS)) == 60

    page.page.click("[data-verdict=SURVIVED]")
    page.page.select_option("[name=cell]", "llvm-O0")
    page.page.select_option("[name=operator]", "store_zero")
    expected = {
        m["id"]
        for m in record["mutants"]
        if m["operator"] == "store_zero" and m["cells"]["llvm-O0"]["verdict"] == "SURVIVED"
    }
    assert expected
    assert set(page.texts(IDS)) == expected

    page.page.fill("[name=q]", "no such text")
    assert "No mutant is like that." in page.text
    page.page.fill("[name=q]", sorted(expected)[0].upper())
    assert page.texts(IDS) == [sorted(expected)[0]]

    page.page.reload()
    assert page.texts(IDS) == [sorted(expected)[0]]
    page.page.click(".clear")
    assert len(page.texts(IDS)) == 60


def test_the_list_is_sorted_both_ways(opened):
    record = made.made(60)
    page = opened(record).go(view="mutants")
    survived = [
        sum(there["verdict"] == "SURVIVED" for there in mutant["cells"].values())
        for name in page.texts(IDS)
        for mutant in record["mutants"]
        if mutant["id"] == name
    ]
    assert survived == sorted(survived, reverse=True)

    page.page.click("[data-sort=id]")
    assert page.texts(IDS) == sorted(m["id"] for m in record["mutants"])
    page.page.click("[data-sort=id]")
    assert page.texts(IDS) == sorted((m["id"] for m in record["mutants"]), reverse=True)
    assert page.page.locator("th[aria-sort=descending]").inner_text().startswith("Mutant")


def test_pages_of_a_long_list(opened):
    page = opened(made.made(150)).go(view="mutants", sort="id")
    first = page.texts(IDS)
    page.page.get_by_text("Next ›").first.click()
    assert len(first) == 100
    assert len(page.texts(IDS)) == 50
    assert not set(first) & set(page.texts(IDS))


def a_survivor(record):
    return next(m for m in record["mutants"] if m["cells"]["llvm-O0"]["verdict"] == "SURVIVED")


@pytest.mark.parametrize("form", ["unified", "side"])
def test_a_mutant_opens_to_its_change(form, opened):
    record = made.made(60)
    mutant = a_survivor(record)
    page = opened(record).go(view="mutants", diff=form)
    page.page.get_by_role("link", name=mutant["id"], exact=True).click()
    page.page.get_by_role("link", name="llvm-O0", exact=True).click()

    number = mutant["site"] % 20
    changed = page.page.locator(".diffbox").filter(has_text="tvmscript")
    old, fresh = (changed.locator(f".{kind} code").all_inner_texts() for kind in ("old", "fresh"))
    assert [text.strip() for text in old] == [f"if i < {number} and j <= 63:"]
    assert [text.strip() for text in fresh] == [f"if i <= {number} and j <= 63:"]
    assert changed.locator(".old .del").all_inner_texts() == ["<"]
    assert changed.locator(".fresh .ins").all_inner_texts() == ["<="]
    assert changed.locator(".old .no").first.get_attribute("data-no") == "11"
    changed.get_by_text("⋯ 6 unchanged lines").first.click()
    assert "@T.prim_func(private=True)" in changed.inner_text()

    # in the code of the device a line goes, too
    code = page.page.locator(".diffbox").filter(has_text="two loops")
    assert [text.strip() for text in code.locator(".old code").all_inner_texts()] == [
        'x[i] = x[i] + w[i]; // "sum"',
        "}",
    ]
    assert len(code.locator(".fresh code").all_inner_texts()) == 1


def test_a_mutant_opens_to_who_noticed_and_to_its_inputs(opened):
    record = made.made(60)
    mutant = a_survivor(record)
    there = mutant["cells"]["llvm-O0"]
    page = opened(record).go(mutant=mutant["id"], at="llvm-O0")

    assert [row.split("\t")[:2] for row in page.texts(".tests tbody tr")] == [
        [test, row.split("\t")[1]]
        for test, row in zip(made.tests(""), page.texts(".tests tbody tr"), strict=True)
    ]
    assert "The assertions allow it" in page.text
    changed = page.page.locator(".inputgroup[open]")
    assert changed.locator("summary").inner_text().endswith(str(there["top1_changed"]))
    names = [f"{n}.png" for n in numbers_of(there["inputs"]["top1_changed"])]
    assert changed.locator("figcaption").all_inner_texts() == names
    pictures = sum(int(name.split(".")[0]) < 30 for name in names)
    assert changed.locator("img").count() == pictures
    widths = changed.locator("img").evaluate_all("all => all.map(one => one.naturalWidth)")
    assert widths == [1] * pictures


def test_the_command_runs_the_mutant_alone_and_is_quoted(opened):
    record = made.made(5)
    page = opened(record).go(mutant=record["mutants"][0]["id"], at="c-O2")
    assert page.page.inner_text(".again pre") == (
        """pytest '--rootdir=it'"'"'s here' -k 'a or b' """
        "'--mutatenn-mutants=kernel.boundary@conv2d_0#0' "
        "--mutatenn-devices=c --mutatenn-opt-levels=2"
    )


def test_what_a_user_or_a_file_says_is_text(opened):
    record = made.made(60, text=made.SCRIPT)
    crashed = next(
        (m["id"], cell)
        for m in record["mutants"]
        for cell, there in m["cells"].items()
        if there["verdict"] == "CRASHED"
    )
    page = opened(record)
    for state in [{"view": v} for v in ("overview", "mutants", "divergent", "cells", "run")]:
        page.go(**state)
        assert f"net0{made.SCRIPT}" in page.page.inner_text("h1")
    page.go(mutant=crashed[0], at=crashed[1])
    assert page.texts(".stderr") == [f"Fatal{made.SCRIPT}"]
    assert f"test_labels{made.SCRIPT}" in page.go(view="cells").text
    assert f"block0{made.SCRIPT}" in page.go().text
    assert page.page.locator("main script").count() == 0
    page.go(view="mutants", q=made.SCRIPT, mutant=made.SCRIPT)
    assert f"no mutant {made.SCRIPT}." in page.text


def test_keys_go_through_the_mutants(opened):
    record = made.made(30)
    page = opened(record).go(view="mutants", sort="id")
    names = sorted(m["id"] for m in record["mutants"])
    keyboard = page.page.keyboard
    for key in ("j", "j", "Enter"):
        keyboard.press(key)
    page.page.wait_for_selector("h2.id")
    assert page.texts("h2.id") == [names[1]]
    keyboard.press("n")
    page.page.get_by_role("heading", name=names[2], exact=True).wait_for()
    keyboard.press("Escape")
    page.page.wait_for_selector("table.mutants")
    keyboard.press("/")
    assert page.page.evaluate("document.activeElement.name") == "q"


@pytest.mark.parametrize("width", [390, 1400])
def test_nothing_stands_out_of_the_window(width, opened):
    record = made.made(30, text="a_long_name_of_something_" * 4)
    page = opened(record, viewport={"width": width, "height": 800})
    mutant = record["mutants"][0]["id"]
    states = [{"view": view} for view in ("overview", "mutants", "divergent", "cells", "run")]
    for state in [*states, {"mutant": mutant}, {"mutant": mutant, "diff": "side"}]:
        page.go(**state)
        assert page.page.evaluate("document.documentElement.scrollWidth") <= width, state


def test_colours_follow_the_system_and_the_switch(opened):
    page = opened(made.made(3), color_scheme="dark").go()
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = page.page.evaluate(ground)
    page.page.click(".theme")
    light = page.page.evaluate(ground)
    page.page.click(".theme")
    assert light != dark
    assert page.page.evaluate(ground) == dark


def test_ten_thousand_mutants_in_four_cells(opened):
    page = opened(made.made(10_000))
    assert page.file.stat().st_size < 25e6
    page.go()
    page.page.get_by_role("link", name="Mutants10,000").click()
    assert len(page.texts(IDS)) == 100
    page.page.fill("[name=q]", "boundary@conv2d_0#9980")
    assert page.texts(IDS) == ["kernel.boundary@conv2d_0#9980"]
    page.page.click(IDS)
    assert page.texts("h2.id") == ["kernel.boundary@conv2d_0#9980"]


def test_a_real_run(opened, project, shared):
    model = str(shared / "models" / "mlperf_resnet8_bn.onnx")
    inputs = str(shared / "images" / "cifar10_eran100.npz")
    project.write(test_resnet8=SUITE.format(model=model, inputs=inputs))
    asked = ("--mutatenn-opt-levels=0,3", "--mutatenn-sample=6")
    record = project.run(*asked, "--mutatenn-report=html:page/").report

    written = (project.path / "page" / "index.html").read_bytes()
    page = opened(record)
    assert page.file.read_bytes() == written  # later, from the JSON, the same

    assert len(record["score"]["by_cell"]) == 2
    assert page.go().texts(".big") == [f"{record['score']['overall']['score']:.1f} %"]
    for mutant in record["mutants"]:
        page.go(view="mutants")
        page.page.get_by_role("link", name=mutant["id"], exact=True).click()
        assert page.texts("h2.id") == [mutant["id"]]
        made_here = [cell for cell, there in mutant["cells"].items() if there["change"]]
        for cell in made_here:
            page.page.get_by_role("link", name=cell, exact=True).first.click()
            assert page.page.locator(".change .old .del, .change .fresh .ins").count() > 0
