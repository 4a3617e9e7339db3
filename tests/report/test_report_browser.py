"""The pages in a real browser, as wide as a desk and as a phone: nothing overflows, nothing is empty, no complaints."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from report_examples import Size, write_run

from hydrocli.report.run_page import report

FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
DESK, PHONE = (1280, 900), (390, 844)

MEASURE = """() => ({
    page: document.documentElement.scrollWidth,
    outside: [...document.querySelectorAll('main *:not(.scroll *)')]
        .filter(part => part.getBoundingClientRect().right > innerWidth + 1).map(part => part.outerHTML.slice(0, 80)),
    figures: [...document.querySelectorAll('figure')].map(part => {
        const box = part.querySelector('svg').getBoundingClientRect();
        const ink = part.querySelector('svg').getBBox();
        return {name: part.id, wide: box.width, high: box.height, inkWide: ink.width, inkHigh: ink.height,
                shown: part.querySelector('.scroll').clientWidth};
    }),
    sections: [...document.querySelectorAll('section')].map(part => part.getBoundingClientRect().top),
    links: [...document.querySelectorAll('nav a')]
        .map(part => document.querySelector(part.getAttribute('href')) !== null),
})"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no chromium on this machine")
    with playwright.sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=chromium, args=FLAGS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def pages(page: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A classical run, and a small hybrid beside it."""
    size = Size(gauges=1, steps=200, rows=3, columns=4)
    runs = [
        write_run(tmp_path_factory.mktemp("beside") / name, size, structure=name, seed=seed)
        for seed, name in enumerate(("node", "gr"))
    ]
    return {"classical": page, "hybrid": report(runs[0], against=runs[1], formats=[])}


@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("kind", ["classical", "hybrid"])
def test_in_the_browser(browser: Any, pages: dict[str, Path], kind: str, scheme: str, size: tuple[int, int]) -> None:
    context = browser.new_context(viewport=dict(zip(("width", "height"), size, strict=True)), color_scheme=scheme)
    view, complaints, requests = context.new_page(), [], []
    view.on("console", lambda message: complaints.append(message.text))
    view.on("pageerror", lambda error: complaints.append(str(error)))
    view.on("request", lambda request: requests.append(request.url))
    view.goto(pages[kind].as_uri())
    measured = view.evaluate(MEASURE)
    context.close()
    assert complaints == []
    assert [url for url in requests if not url.startswith("data:")] == [pages[kind].as_uri()]
    assert measured["page"] <= size[0]
    assert measured["outside"] == []
    assert measured["sections"] == sorted(measured["sections"])
    assert all(measured["links"])
    assert len(measured["figures"]) >= 15
    for figure in measured["figures"]:
        assert figure["wide"] >= 600, "text would be too small"
        assert figure["high"] > 80, figure["name"]
        assert min(figure["inkWide"], figure["inkHigh"]) > 50, figure["name"]
        assert size is PHONE or figure["wide"] <= figure["shown"] + 1, figure["name"]
