"""Data of a run for the report: tables, read once on first access, and quantities that several sections use."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from hydrocli.report.about import About, about
from hydrocli.report.hydrographs import Hydrograph, hydrograph
from hydrocli.report.maps import Domain, domain_of
from hydrocli.report.page import format_number
from hydrocli.report.tables import Columns, by_gauge, found, spread_out, worst_and_best
from hydrocli.results import Run

PANELS = 60
"""Gauges that have a panel in a figure of all: more would make a picture that nobody can look through."""
DETAILS = 6
"""Gauges that are shown in detail; of more, the worst and the best three."""


class Source:
    """A run to report, and optionally a second one to compare with."""

    def __init__(self, run: Run, against: Source | None = None) -> None:
        self.run = run
        self.against = against
        self._tables: dict[str, Columns | None] = {}

    def table(self, name: str) -> Columns | None:
        """A table, or None where the run has none."""
        if name not in self._tables:
            self._tables[name] = found(self.run, name)
        return self._tables[name]

    def parts(self, name: str) -> dict[str, Columns]:
        """The rows of each gauge of a table; empty where the run has none."""
        table = self.table(name)
        return {} if table is None else by_gauge(table)

    @cached_property
    def about(self) -> About:
        """Model, periods, gauges and scores."""
        return about(self.run)

    @cached_property
    def domain(self) -> Domain | None:
        """The cells, where the run has written them."""
        table = self.table("domain")
        return None if table is None else domain_of(table, self.table("catchments"))

    @cached_property
    def catchments(self) -> dict[str, Columns]:
        """Catchment means of each gauge."""
        return self.parts("catchment_timeseries")

    @cached_property
    def hydrographs(self) -> dict[str, Hydrograph]:
        """The series of each gauge that the run has a discharge of, those of the second run among them."""
        others = self.against.parts("discharge") if self.against else {}
        names = self.names
        return {
            code: hydrograph(
                rows, self.catchments.get(code), names[0], {names[1]: others[code]} if code in others else {}
            )
            for code, rows in self.parts("discharge").items()
            if np.isfinite(rows["simulated"]).any()
        }

    @cached_property
    def names(self) -> tuple[str, str]:
        """What the two runs are called in legends: their models where these differ, else their own names."""
        mine, theirs = self.about, self.against.about if self.against else None
        if theirs is None:
            return "simulated", ""
        return (mine.model, theirs.model) if mine.model != theirs.model else (mine.name, theirs.name)

    @cached_property
    def detailed(self) -> list[str]:
        """Codes of the gauges to show in detail."""
        return worst_and_best(self.about.nse, self.hydrographs, DETAILS)

    @cached_property
    def pictured(self) -> list[str]:
        """Codes of the gauges that have a panel in figures of all gauges."""
        return spread_out(self.about.nse, self.hydrographs, PANELS)

    @property
    def panels_of(self) -> str:
        """Which gauges figures of all gauges show, as the beginning of a caption."""
        number = len(self.hydrographs)
        some = f"{PANELS} of {number} gauges, spread from the worst to the best"
        return "All gauges" if number <= PANELS else some

    @property
    def states(self) -> dict[str, dict[str, str]]:
        """Long name and unit of each state by its symbol."""
        return dict(self.run.manifest.structure.get("states", {}))

    @property
    def fluxes(self) -> tuple[str, ...]:
        """Symbols of the fluxes that the structure has."""
        return tuple(self.run.manifest.structure.get("fluxes", ()))

    @property
    def corrections(self) -> dict[str, dict[str, str]]:
        """Flux and factor of each correction of the network by its symbol; empty without a network."""
        return dict(self.run.manifest.structure.get("corrections", {}))

    @cached_property
    def largest(self) -> str:
        """Code of the gauge with the largest catchment; empty without a domain."""
        domain = self.domain
        known = domain.gauges if domain else {}
        return max(known, key=lambda code: float(domain.upstream_area[known[code]]), default="") if domain else ""

    @property
    def rain_label(self) -> str:
        """Label of the rain axis."""
        return (
            "rain\n[mm/h]"
            if self.about.step == 3600
            else "rain\n[mm/d]"
            if self.about.step == 86400
            else "rain\n[mm/step]"
        )

    def span(self) -> str:
        """First and last day of the run."""
        discharge = self.table("discharge")
        if discharge is None:
            return "not simulated yet"
        first, last = discharge["time"].min(), discharge["time"].max()
        return f"{first.astype('datetime64[D]')} to {last.astype('datetime64[D]')}"

    def facts(self) -> dict[str, str]:
        """The few numbers at the top."""
        manifest, facts = self.run.manifest, {"model": self.about.model}
        scores = self.table("scores")
        if scores is not None:
            for scenario in dict.fromkeys(scores["scenario"].tolist()):
                here = scores["value"][(scores["scenario"] == scenario) & (scores["metric"] == "nse")]
                if np.isfinite(here).any():
                    facts[f"median NSE, {scenario}"] = f"{np.nanmedian(here):.3f}"
        for name in ("cells", "steps", "controls", "evaluations"):
            if name in manifest.counts:
                facts[name] = f"{int(manifest.counts[name]):,}".replace(",", " ")
        if "calibration" in manifest.timings:
            facts["calibration"] = f"{format_number(manifest.timings['calibration'])} s"
        return facts
