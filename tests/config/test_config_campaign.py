"""A campaign file: what each of its runs becomes, and that all that is wrong with any of them is told at once, once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hydrocli.basin.tables import read_catchments
from hydrocli.config import (
    RunSpec,
    catchment_table,
    is_campaign,
    load,
    load_campaign,
    numbers_hash,
    resolved_campaign,
    run_specs,
)
from hydrocli.errors import Errors, InputError

CAMPAIGN = """\
name: many
base: config.yaml
models:
  gr_u:
  grnn_d:
    structure: {kind: grnn}
    mapping: {kind: distributed}
    execution: {precision: single}
"""
TABLE = """\
code,area,period.calibration,parameters.cp.value
A,10,"[2014-10-05T00:00Z, 2014-11-14T00:00Z]",
B,20,,250
"""


@pytest.fixture
def base(write: Callable[[str], Path], minimal: str) -> None:
    """`config.yaml` of an experiment and `gauges.csv` in the current folder."""
    write(minimal + "execution: {threads: 2}\n")
    Path("gauges.csv").write_text("code,x,y,area\nA,1,2,3\nB,1,2,3\nC,1,2,3\n")


def items(text: str, table: str = "") -> list[RunSpec]:
    Path("campaign.yaml").write_text(text)
    if table:
        Path("catchments.csv").write_text(table)
    file = load_campaign(Path("campaign.yaml"))
    path = catchment_table(file)
    return run_specs(file, path, read_catchments(path))


@pytest.mark.usefixtures("base")
def test_each_gauge_of_the_base_is_a_catchment() -> None:
    runs = items(CAMPAIGN)
    assert [run.key for run in runs] == ["gr_u/A", "gr_u/B", "gr_u/C", "grnn_d/A", "grnn_d/B", "grnn_d/C"]
    run = runs[-1].experiment
    assert (run.gauges.calibration, run.gauges.validation) == (("C",), ())
    assert run.folder == Path("campaigns/many/grnn_d/C").absolute()
    assert (run.structure.kind, run.mapping.kind, run.optimiser[0].kind) == ("grnn", "distributed", "adam")
    assert (run.execution.precision, run.execution.threads) == ("single", 2)
    assert run.gauges.table == Path("gauges.csv").absolute()
    assert runs[-1].attributes == {"x": "1", "y": "2", "area": "3"}


@pytest.mark.usefixtures("base")
def test_columns_with_a_dot_are_keys_of_one_catchment() -> None:
    runs = items(CAMPAIGN + "catchments: {table: catchments.csv}\n", TABLE)
    first, second = runs[0].experiment, runs[1].experiment
    assert f"{first.period.calibration[0]:%d} {second.period.calibration[0]:%d}" == "05 01"
    assert (first.parameters.cp.value, second.parameters.cp.value) == (200, 250)
    assert runs[0].attributes == {"area": "10"}


@pytest.mark.usefixtures("base")
def test_a_run_is_that_of_a_configuration_of_its_own(tmp_path: Path) -> None:
    """The same identity, hence the same numbers, as when its keys stand in a file."""
    alone = load("config.yaml", ["gauges.calibration=[B]", "gauges.validation=[]", "structure.kind=gr"])
    assert numbers_hash(items(CAMPAIGN)[1].experiment) == numbers_hash(alone)


@pytest.mark.usefixtures("base")
def test_everything_wrong_with_any_run_is_told_once() -> None:
    text = CAMPAIGN.replace("kind: distributed", "kind: disturbed")
    table = TABLE.replace("parameters.cp.value", "parameters.cq.value").replace("2014-10-05", "2013-10-05")
    with pytest.raises(Errors) as caught:
        items(text + "catchments: {table: catchments.csv}\n", table)
    told = str(caught.value)
    assert told.count("disturbed") == 1
    assert "campaign.yaml:7: models.grnn_d: mapping.kind: 'disturbed' is not possible" in told
    assert "catchments.csv:2: period.calibration: is not inside the period" in told
    assert "catchments.csv:3: parameters.cq: is not a known key" in told
    assert len(caught.value.errors) == 3


@pytest.mark.usefixtures("base")
@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("code,area\nA,1\nA,2\n", "lists more than once: A"),
        ("code\n../A\n", "cannot be folder names: '../A'"),
        ("name\nA\n", "has no column code"),
        ("code\n", "has no row"),
    ],
)
def test_tables_that_cannot_be_used(table: str, words: str) -> None:
    with pytest.raises((Errors, InputError), match=words):
        items(CAMPAIGN + "catchments: {table: catchments.csv}\n", table)


@pytest.mark.usefixtures("base")
@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("execution: {cluster: slrum}", "execution.cluster: 'slrum' is not possible"),
        ("after_calibration: [validate, sing]", "after_calibration.1: 'sing' is not possible"),
        ("then: [validate]", "then: is not a known key\n  did you mean `after_calibration`?"),
        ("model: {}", "model: is not a known key\n  did you mean `models`"),
        ("slurm: {time: soon}", "slurm.time"),
    ],
)
def test_keys_of_a_campaign_that_are_wrong(line: str, words: str) -> None:
    with pytest.raises(Errors) as caught:
        items(f"{CAMPAIGN}{line}\n")
    assert words in str(caught.value)


@pytest.mark.usefixtures("base")
def test_codes_that_are_not_there_are_told() -> None:
    with pytest.raises(Errors, match=r"catchments\.codes: Z: not in"):
        items(CAMPAIGN + "catchments: {codes: [A, Z]}\n")
    assert [run.code for run in items(CAMPAIGN + "catchments: {codes: [C]}\n")] == ["C", "C"]


@pytest.mark.usefixtures("base")
def test_a_resolved_campaign_is_the_same_from_elsewhere(tmp_path: Path) -> None:
    before = [numbers_hash(run.experiment) for run in items(CAMPAIGN)]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "campaign.yaml").write_text(resolved_campaign(load_campaign(Path("campaign.yaml")).campaign))
    file = load_campaign(elsewhere)
    assert is_campaign(elsewhere)
    assert is_campaign(Path("campaign.yaml"))
    assert not is_campaign(Path("config.yaml"))
    assert [
        numbers_hash(r.experiment)
        for r in run_specs(file, catchment_table(file), read_catchments(catchment_table(file)))
    ] == before


def test_tables_of_other_formats_hold_typed_values(tmp_path: Path) -> None:
    import geopandas
    import pandas as pd
    from shapely import Point

    frame = pd.DataFrame({"code": ["A", "B"], "optimiser.iterations": [5.0, None], "area": [1.5, 2.5]})
    frame.to_parquet(tmp_path / "t.parquet")
    geopandas.GeoDataFrame(frame, geometry=[Point(0, 0), Point(1, 1)], crs="EPSG:2154").to_file(tmp_path / "t.gpkg")
    for name in ("t.parquet", "t.gpkg"):
        rows = read_catchments(tmp_path / name)
        assert rows == [
            {"code": "A", "optimiser.iterations": 5.0, "area": 1.5},
            {"code": "B", "optimiser.iterations": None, "area": 2.5},
        ]
