"""The page of a run: whole, self-contained, every figure drawn and written, nothing of the run taken as HTML."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from page_reader import look_at
from report_examples import Size, write_run
from typer.testing import CliRunner

from hydrocli.cli import app
from hydrocli.report import style
from hydrocli.report.page import pictures
from hydrocli.report.run_page import report, run_page
from hydrocli.report.source import Source
from hydrocli.results import read

FIGURES = {
    "domain", "descriptors", "hydrograph_G00", "hydrograph_G01", "hydrograph_G02", "flow_duration", "floods_G01_1",
    "floods_G01_2", "floods_G02_1", "floods_G02_2", "signature_errors", "parameter_maps",
    "descriptor_parameter_correlations", "cost_and_gradient", "water_balance_by_year",
}  # fmt: skip
"""Of a run of three gauges, the first of which has no event."""


def test_every_figure_is_in_the_page_and_in_a_file(page: Path) -> None:
    seen = look_at(page)
    assert set(seen.figures) == {f"figure-{name}" for name in FIGURES}
    assert min(seen.figures.values()) > 20, "a figure has next to nothing in it"
    files = {file.name: file.read_bytes() for file in (page.parent / "figures").iterdir()}
    assert set(files) == {f"{name}.png" for name in FIGURES}
    assert all(content.startswith(b"\x89PNG") and len(content) > 5000 for content in files.values())


def test_the_page_needs_nothing_else(page: Path) -> None:
    text, seen = page.read_text(encoding="utf-8"), look_at(page)
    assert not seen.open_tags
    assert not re.search(r"https?://(?!www\.w3\.org/)", text)
    assert all(address.startswith(("#", "data:")) for address in seen.addresses)
    assert "<script" not in text
    assert "url(" not in re.sub(r"url\(#", "", text)
    assert len(text) < 10_000_000


def test_anchors_resolve_and_are_unique(page: Path) -> None:
    seen = look_at(page)
    assert len(seen.links) == 8
    assert len(set(seen.anchors)) == len(seen.anchors)
    inside = {address.removeprefix("#") for address in seen.addresses if address.startswith("#")}
    inside |= set(re.findall(r"url\(#([^)]+)\)", page.read_text(encoding="utf-8")))
    assert inside <= set(seen.anchors)


def test_tables_have_rows_and_texts_are_escaped(page: Path) -> None:
    seen = look_at(page)
    assert len(seen.tables) >= 8
    assert min(seen.tables) > 0
    assert "forcing is missing in <2> cell-steps & taken as no water" in seen.text
    assert "No flood events at G00." in seen.text
    assert "At a bound of the calibration: cp, akw." in seen.text
    assert "finished" in seen.text


@pytest.mark.parametrize(
    ("missing", "left"),
    [
        (("scores", "domain", "balance"), {"hydrograph_G00", "flow_duration", "cost_and_gradient"}),
        (
            ("catchment_timeseries", "convergence", "events", "signatures", "parameters"),
            {"domain", "hydrograph_G00", "descriptors"},
        ),
        (("discharge",), {"domain", "cost_and_gradient", "parameter_maps"}),
    ],
)
def test_what_is_missing_is_left_out(tmp_path: Path, missing: tuple[str, ...], left: set[str]) -> None:
    folder = write_run(tmp_path / "run", Size(gauges=1, steps=100, rows=2, columns=3))
    for name in missing:
        (folder / f"{name}.parquet").unlink()
    with style.drawing():
        page = run_page(Source(read(folder)))
    assert all(section.blocks for section in page.sections)
    assert {picture.name for picture in pictures(page)} >= left
    owned = {"domain": "domain", "discharge": "hydrograph_G00", "convergence": "cost_and_gradient"}
    assert not {owned.get(name) for name in missing} & {picture.name for picture in pictures(page)}


def test_command_and_the_same_page_again_whatever_the_name_of_the_run(folder: Path, tmp_path: Path) -> None:
    small = write_run(tmp_path / "run", Size(gauges=1, steps=100, rows=2, columns=2), name="<b>$x_{1}$</b> & co")
    result = CliRunner().invoke(app, ["report", str(small), "--output", str(tmp_path / "out"), "--format", "svg"])
    assert result.exit_code == 0, result.stderr
    assert result.stdout.strip() == str(tmp_path / "out" / "report.html")
    assert (tmp_path / "out" / "figures" / "domain.svg").read_text().startswith("<?xml")
    again = report(small, output=tmp_path / "again", formats=[])
    assert again.read_bytes() == (tmp_path / "out" / "report.html").read_bytes()
    assert "<b>$x_{1}$</b> & co" in look_at(again).text
    assert not list((tmp_path / "again" / "figures").iterdir())


def test_command_refuses(folder: Path, tmp_path: Path) -> None:
    two = CliRunner().invoke(app, ["report", str(folder), str(folder), "--output", str(tmp_path / "out")])
    assert two.exit_code == 2
    (tmp_path / "empty").mkdir()
    nothing = CliRunner().invoke(app, ["report", str(tmp_path / "empty")])
    assert nothing.exit_code == 3
    assert "is not a run folder" in nothing.stderr
