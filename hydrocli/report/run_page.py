"""`hydrocli report`: the page of a run, optionally compared with a second one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hydrocli.report import style
from hydrocli.report.ensemble import ensemble_section
from hydrocli.report.fairness import fairness_section
from hydrocli.report.inside_sections import budget_section, network_section, newton_section, state_section
from hydrocli.report.page import Page, Section, write_page
from hydrocli.report.sections import (
    convergence_section,
    domain_section,
    parameter_section,
    score_section,
    summary_section,
)
from hydrocli.report.source import Source
from hydrocli.report.water_sections import balance_section, flood_section, hydrograph_section, solver_section
from hydrocli.results import read
from hydrocli.results.folder import PAGE, status


def report(
    folder: Path, *, against: Path | None = None, output: Path | None = None, formats: Sequence[str] = ("png",)
) -> Path:
    """Write report.html and figures/ of a run, finished or not; returns the path of the page.

    Args:
        folder: the run folder.
        against: a second run to compare with.
        output: folder to write; None for the run folder itself.
        formats: of the figures, of png, svg and pdf.

    Raises:
        HydrocliError: a folder is no run, a file of it is missing or damaged, or the output cannot be written.
    """
    run = read(folder, unfinished=True).require_whole()
    source = Source(run, None if against is None else Source(read(against).require_whole()))
    with style.drawing():
        return write_page(output or folder, PAGE, run_page(source), formats)


def run_page(source: Source) -> Page:
    """All sections of the report of a run."""
    parts = (
        summary_section,
        score_section,
        ensemble_section,
        fairness_section,
        domain_section,
        hydrograph_section,
        flood_section,
        parameter_section,
        convergence_section,
        balance_section,
        budget_section,
        state_section,
        network_section,
        newton_section,
        solver_section,
    )
    sections: list[Section] = [section for part in parts if (section := part(source)).blocks]
    about, found = source.about, status(source.run.folder)
    subtitle = f"{about.model} · {source.span()}" + (
        f" · compared with {source.against.about.name}" if source.against else ""
    )
    return Page(about.name, subtitle, source.facts(), tuple(sections), found.state)
