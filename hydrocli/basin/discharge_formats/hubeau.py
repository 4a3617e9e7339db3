"""`hubeau`: answers of the French service Hub'Eau (hydrometrie v1 and v2), CSV or JSON: a file, or a folder of them.

Both kinds are read: daily means (`obs_elab`, of which QmnJ and QmJ are kept) and observations as they come
(`observations_tr`, of which Q is kept). Discharge is in l/s; times are in UTC.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydrocli.basin.discharge_formats import WHERE, DischargeSource, Found, Period
from hydrocli.basin.discharge_formats.tidy import by_gauge, records_by_gauge
from hydrocli.basin.tables import Columns, code_text, open_table, read_text
from hydrocli.errors import InputError

KINDS = {
    "resultat_obs_elab": (
        "date_obs_elab",
        "grandeur_hydro_elab",
        ("QmnJ", "QmJ", "QMNJ", "QMJ"),
        "libelle_qualification",
    ),
    "resultat_obs": ("date_obs", "grandeur_hydro", ("Q",), "libelle_qualification_obs"),
}
"""By the column of the values: columns of time and quantity, quantities that are discharge, column of flags."""
STATIONS = ("code_station", "code_site")


class HubeauFormat:
    """See the module."""

    def find(self, source: DischargeSource, codes: Sequence[str]) -> tuple[str, ...]:
        """See `DischargeFormat`."""
        if source.path.is_file():
            return (os.fspath(source.path),)
        found = sorted(str(file) for file in source.path.rglob("*") if file.suffix.lower() in (".csv", ".json"))
        if not found:
            raise InputError(WHERE, f"{source.path} has no CSV or JSON file")
        return tuple(found)

    def read(
        self, paths: Sequence[str], source: DischargeSource, codes: Sequence[str], period: Period, notes: list[str]
    ) -> Found:
        """See `DischargeFormat`."""
        import pandas as pd

        parts, places, kinds = [], list[tuple[str, Columns | None, int]](), dict[str, str]()
        for path in paths:
            frame, columns, kind = _read_file(Path(path), codes)
            kinds.setdefault(kind, path)
            places += [(path, columns, int(row)) for row in frame.index]
            parts.append(frame)
        if len(kinds) > 1:
            raise InputError(WHERE, f"files are of two kinds: {' and '.join(kinds.values())}", "Keep one kind there.")

        def where(row: int) -> str:
            path, columns, own = places[row]
            return columns.where(own) if columns else f"{path}: observation {own + 1}"

        table = _Together(source.path, pd.concat(parts, ignore_index=True), [], None, where)
        label = "start" if "resultat_obs_elab" in kinds else None
        if source.flags is None:
            table.frame.drop(columns="flag", inplace=True, errors="ignore")
        return records_by_gauge(by_gauge(table), source, codes, notes, unit="l/s", label=label)


FORMAT = HubeauFormat()


class _Together(Columns):
    """Rows of several files."""

    def __init__(self, path: Path, frame: Any, others: list[str], layout: None, where: Any) -> None:
        super().__init__(path, frame, others, layout)
        object.__setattr__(self, "where", where)


def _read_file(path: Path, codes: Sequence[str]) -> tuple[Any, Columns | None, str]:
    """Columns gauge, time, discharge and flag of the rows with discharge, the table if it is one, and its kind."""
    import pandas as pd

    columns: Columns | None = None
    if path.suffix.lower() == ".json":
        try:
            answer = json.loads(read_text(path))
            whole = pd.DataFrame(answer["data"] if isinstance(answer, dict) else answer)
        except (ValueError, KeyError) as error:
            raise InputError(str(path), "is not an answer of Hub'Eau in JSON", "Replace it by a sound copy.") from error
    else:
        table = open_table(path)
        known = {name for kind, row in KINDS.items() for name in (kind, row[0], row[1], row[3])} | set(STATIONS)
        columns = table.read({name: name for name in table.names if name in known})
        whole = columns.frame
    kind = next((kind for kind in KINDS if kind in whole), None)
    if kind is None or not set(STATIONS) & set(whole):
        remedy = f"It has {', '.join(map(str, list(whole)[:8]))}." if len(list(whole)) else "It is empty."
        raise InputError(str(path), "has no column resultat_obs_elab or resultat_obs, or no code_station", remedy)
    time, quantity, wanted, flag = KINDS[kind]
    rows = whole[whole[quantity].isin(wanted)] if quantity in whole else whole
    # A station's code, or the shorter one of its site.
    station = next((name for name in STATIONS if name in rows and rows[name].map(code_text).isin(codes).any()), None)
    station = station or next(name for name in STATIONS if name in rows)
    chosen = {"gauge": rows[station], "time": rows[time].astype("string"), "discharge": rows[kind]}
    return pd.DataFrame(chosen | ({"flag": rows[flag]} if flag in rows else {})), columns, kind
