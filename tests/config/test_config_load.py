"""What is read: defaults, paths, times, variables, overrides, and the way back to YAML."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from hydrocli import config, names
from hydrocli.config import Experiment, differing_keys, initial_yaml, load, numbers_hash, resolved
from hydrocli.errors import Errors, HydrocliError

Read = Callable[..., Experiment]


def test_defaults_are_those_of_the_table_of_names(read: Read, minimal: str) -> None:
    experiment = read(minimal)
    for symbol, quantity in names.PARAMETERS.items():
        setting = experiment.parameters[symbol]
        assert (setting.value, *setting.bounds) == (quantity.default, quantity.lower, quantity.upper)
        assert setting.calibrated
    assert (experiment.initial.hi.value, experiment.initial["hp"].calibrated) == (0.01, False)
    assert [stage.kind for stage in experiment.optimiser] == ["levenberg_marquardt"]
    assert (experiment.first_guess.kind, experiment.objective.metric) == ("screening", "nse")


@pytest.mark.parametrize(
    ("kind", "more", "optimiser"),
    [
        ("gr", {}, "levenberg_marquardt"),
        ("grnn", {"flux_limits": "conservative"}, "adam"),
        (
            "ode",
            {"scheme": "implicit", "substeps": 1, "flux_limits": "conservative", "tolerance": 1e-6},
            "levenberg_marquardt",
        ),
        ("node", {"network_coupling": "implicit", "flux_limits": "conservative", "tolerance": 1e-6}, "adam"),
    ],
)
def test_structures(kind: str, more: dict[str, object], optimiser: str, read: Read, minimal: str) -> None:
    """With a network, Adam is the default with the iterations and the rate of the papers."""
    text = minimal + f"structure: {{kind: {kind}}}\n"
    experiment = read(text)
    network = {"hidden": (16,), "activation": "silu", "input_scaling": "none", "initial_std": 0.01}
    around = {"snow": "none", "impervious": None, "routing": "kinematic_wave"}
    expected = {"kind": kind} | around | more | ({"network": network} if optimiser == "adam" else {})
    assert experiment.structure.model_dump(by_alias=True) == expected
    (stage,) = experiment.optimiser
    assert (stage.kind, stage.train) == (optimiser, None)
    if stage.kind == "adam":
        assert (stage.iterations, stage.learning_rate, stage.beta1, stage.beta2) == (240, 0.003, 0.9, 0.999)
        assert stage.bias_correction == "standard"
        other = read(text + "initial_weights: {from: runs/a}\noptimiser: {kind: lbfgsb, train: [network]}\n")
        assert other.initial_weights.source == experiment.folder.parent / "a"
        assert [(stage.kind, stage.train) for stage in other.optimiser] == [("lbfgsb", ("network",))]
        assert read(resolved(other)) == other
    assert read(resolved(experiment)) == experiment


def test_stages_of_the_papers(read: Read, minimal: str) -> None:
    """Stage by stage, with single parameters freed, a schedule and a stopping rule."""
    stages = """structure: {kind: node}
optimiser:
  - {kind: sbs, mapping: uniform, train: [cp, ct], step: 0.3}
  - {kind: adam, learning_rate: 0.004, iterations: 40, train: [parameters]}
  - {kind: adam, schedule: cosine, rate_warmup: 10, weight_decay: 0.01, patience: 50, cost_tolerance: 1.0e-4}
"""
    experiment = read(minimal + stages)
    assert [stage.train for stage in experiment.optimiser] == [("cp", "ct"), ("parameters",), None]
    assert experiment.optimiser[1].schedule == "constant"
    assert experiment.optimiser[2].patience == 50


@pytest.mark.parametrize(
    ("kind", "more", "stages"),
    [
        ("distributed", {"uniform_parameters": ()}, [("lbfgsb", 200)]),
        (
            "multilinear",
            {"uniform_parameters": (), "descriptors": None, "extrapolation": "allow", "descriptors_by_parameter": {}},
            [("lbfgsb", 200)],
        ),
        (
            "multipower",
            {"uniform_parameters": (), "descriptors": None, "extrapolation": "allow", "descriptors_by_parameter": {}},
            [("lbfgsb", 200)],
        ),
        (
            "mlp",
            {
                "uniform_parameters": (),
                "descriptors": None,
                "extrapolation": "allow",
                "hidden": (96, 48, 16),
                "activation": "relu",
                "initialisation": "glorot",
            },
            [("adam", 40), ("adam", 240)],
        ),
        (
            "cnn",
            {"uniform_parameters": (), "descriptors": None, "extrapolation": "allow", "channels": (16, 8), "width": 3}
            | {"activation": "relu", "initialisation": "glorot"},
            [("adam", 40), ("adam", 240)],
        ),
    ],
)
def test_mappings(kind: str, more: dict[str, object], stages: list[object], read: Read, minimal: str) -> None:
    """A mapping with a network is trained as the papers do: phi2 alone first."""
    there = minimal.replace("encoding: smash}", "encoding: smash}\n  descriptors: {slope: slope.tif}")
    structure = "structure: {kind: node}\n" if len(stages) > 1 else ""
    experiment = read(there + f"mapping: {{kind: {kind}}}\n" + structure)
    assert experiment.mapping.model_dump() == {"kind": kind} | more
    assert [(stage.kind, stage.iterations) for stage in experiment.optimiser] == stages
    if len(stages) > 1:
        assert [(stage.train, stage.learning_rate) for stage in experiment.optimiser] == [
            (("parameters",), 0.004),
            (None, 0.003),
        ]
    assert read(resolved(experiment)) == experiment


@pytest.mark.parametrize(
    ("more", "kind"),
    [
        ("", "levenberg_marquardt"),
        ("mapping: {kind: distributed}\n", "lbfgsb"),
        ("structure: {kind: grnn}\n", "adam"),
        ("structure: {kind: node}\nmapping: {kind: distributed}\n", "adam"),
    ],
)
def test_a_stage_without_kind_is_of_the_default_one(more: str, kind: str, read: Read, minimal: str) -> None:
    experiment = read(minimal + more + "optimiser: {iterations: 7}\n")
    assert [(stage.kind, stage.iterations) for stage in experiment.optimiser] == [(kind, 7)]
    assert [stage.kind for stage in read(minimal + more).optimiser] == [kind]


def test_differences_of_runs_need_double_precision(read: Read, minimal: str) -> None:
    single = minimal + "execution: {precision: single}\n"
    assert [stage.kind for stage in read(single).optimiser] == ["lbfgsb"]
    with pytest.raises(Errors, match=r"optimiser\.kind: levenberg_marquardt .* single precision is too coarse"):
        read(single + "optimiser: {kind: levenberg_marquardt}\n")


def test_one_setting_changes_and_the_others_stay(read: Read, minimal: str) -> None:
    experiment = read(minimal + "parameters: {ct: {bounds: [1, 3000]}, kexc: {calibrated: false}, akw: }\n")
    assert experiment.parameters.ct.bounds == (1, 3000)
    assert experiment.parameters.ct.value == 500
    assert not experiment.parameters.kexc.calibrated
    assert experiment.parameters.akw.value == 5


def test_a_routing_brings_its_parameters(read: Read, minimal: str) -> None:
    """And those of any structure may keep one value."""
    mapping = "mapping: {kind: distributed, uniform_parameters: [be, llr]}\n"
    experiment = read(minimal + "structure: {kind: gr6, routing: linear_reservoir}\n" + mapping)
    assert experiment.structure.declared.all_parameters == ("cp", "ct", "be", "kexc", "aexc", "llr")
    assert experiment.parameters.llr.value == 5
    assert experiment.parameters.akw is None
    assert experiment.initial.he.value == -100


def test_a_preset_is_the_publication(read: Read, minimal: str) -> None:
    """Activation, limits, first guess, Adam's constants and stages; what is given counts."""
    paper = read(minimal + "preset: huynh-2025\n")
    assert (paper.structure.kind, paper.structure.network.activation) == ("grnn", "leaky_relu")
    assert (paper.structure.flux_limits, paper.first_guess.kind) == ("as_published", "given")
    assert [(stage.kind, stage.mapping, stage.train) for stage in paper.optimiser] == [
        ("sbs", "uniform", ("parameters",)),
        ("adam", None, None),
    ]
    main = paper.optimiser[1]
    assert (main.iterations, main.learning_rate, main.bias_correction) == (240, 0.003, "constant")
    described = minimal.replace("encoding: smash}", "encoding: smash}\n  descriptors: {slope: s.tif}")
    chosen = "preset: huynh-2026\nmapping: {kind: mlp}\nstructure: {network: {hidden: [8]}}\n"
    other = read(described + chosen)
    assert (other.structure.kind, other.structure.network_coupling) == ("node", "lagged")
    assert (other.structure.network.hidden, other.structure.network.activation) == ((8,), "silu")
    assert [(stage.iterations, stage.learning_rate, stage.train) for stage in other.optimiser] == [
        (40, 0.004, ("parameters",)),
        (240, 0.003, None),
    ]
    assert [stage.kind for stage in read(minimal + "preset: huynh-2026\nstructure: {kind: ode}\n").optimiser] == ["sbs"]
    with pytest.raises(Errors, match="preset: the preset huynh-2025 has no structure hbv"):
        read(minimal + "preset: huynh-2025\nstructure: {kind: hbv}\n")


def test_values_of_another_run(read: Read, minimal: str, tmp_path: Path) -> None:
    more = "parameters: {from: runs/other, kexc: {value: 0, calibrated: false}}\ninitial: {from: runs/other}\n"
    experiment = read(minimal + more)
    assert experiment.parameters.source == experiment.initial.source == tmp_path / "runs/other"
    assert experiment.parameters.cp.value is None
    assert experiment.parameters.kexc.value == 0
    assert experiment.initial.hi.value is None
    assert experiment.first_guess.kind == "given"
    assert read(minimal + more + "first_guess: {kind: screening}\n").first_guess.kind == "screening"


def test_paths_start_from_the_file(read: Read, minimal: str, tmp_path: Path) -> None:
    experiment = read(minimal.replace("path: pet", "path: /data/../pet").replace("gauges.csv", "../gauges.csv"))
    assert experiment.folder == tmp_path / "runs/small"
    assert experiment.forcing.store == tmp_path / ".hydrocli/store"
    assert experiment.gauges.table == tmp_path.parent / "gauges.csv"
    assert experiment.forcing.pet.path == Path("/pet")


def test_paths_start_from_the_file_and_not_from_where_one_stands(read: Read, minimal: str, tmp_path: Path) -> None:
    read(minimal)
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper/config.yaml").write_text(minimal)
    assert load("deeper/config.yaml").forcing.precipitation.path == tmp_path / "deeper/prcp"


def test_folders_may_hold_the_name_and_a_date(read: Read, minimal: str, tmp_path: Path) -> None:
    before = f"{datetime.now(UTC):%Y%m%d}"
    folder = read(minimal + "folder: out/{name}-{now:%Y%m%d}\n").folder
    assert folder.name in (f"small-{before}", f"small-{datetime.now(UTC):%Y%m%d}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2014-09-15", datetime(2014, 9, 15)),
        ("2014-09-15 02:00", datetime(2014, 9, 15, 2)),
        ("2014-09-15T02:00+02:00", datetime(2014, 9, 15)),
        ("2014-09-15T00:00:00Z", datetime(2014, 9, 15)),
    ],
)
def test_times_are_utc_without_zone(text: str, expected: datetime, read: Read, minimal: str) -> None:
    assert read(minimal.replace("start: 2014-09-15T00:00Z", f"start: {text}")).period.start == expected


@pytest.mark.parametrize(
    ("text", "seconds"), [("15min", 900), ("1h", 3600), ("6 h", 21600), ("1d", 86400), ("1800", 1800)]
)
def test_steps(text: str, seconds: int, read: Read, minimal: str) -> None:
    experiment = read(minimal.replace("step: 1h", f"step: {text}"))
    assert experiment.period.step == seconds
    assert read(resolved(experiment)).period.step == seconds


@pytest.mark.parametrize(("text", "size"), [("500MB", 5e8), ("1.5 GiB", 1.5 * 2**30), ("16000001", 16_000_001)])
def test_memory(text: str, size: float, read: Read, minimal: str) -> None:
    experiment = read(minimal + f"execution: {{memory: {text}}}\n")
    assert experiment.execution.memory == size
    assert read(resolved(experiment)).execution.memory == size


def test_a_key_without_value_is_left_out(read: Read, minimal: str) -> None:
    more = "execution:\nflood_events:\nfirst_guess:\noptimiser:\nparameters: {from: , cp: , ct: {value: }}\nfolder:\n"
    assert read(minimal.replace("basin:", "basin:\n  descriptors:") + more) == read(minimal)


def test_codes_keep_their_digits(read: Read, minimal: str) -> None:
    """The core of YAML 1.2 alone would make 7 of 007, version 1.1 the octal 7; `no` and `12:30` are texts."""
    experiment = read(minimal.replace("[A, B]", "[0123, 12, 'Y 1']").replace("[C]", "[no, 12:30, 08.10]"))
    assert experiment.gauges.calibration == ("0123", "12", "Y 1")
    assert experiment.gauges.validation == ("no", "12:30", "08.10")
    assert read(resolved(experiment)) == experiment


def test_variables(read: Read, minimal: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DATA", "/archive")
    monkeypatch.setenv("THREADS", "3")
    monkeypatch.setenv("TRICK", "x, factor: 7}\nseed: 9")
    text = minimal.replace("path: prcp", "path: ${DATA}/prcp").replace("path: pet", 'path: "$${DATA}-${TRICK}"')
    experiment = read(text + "execution: {threads: ${THREADS}}\n", "gauges.table=${DATA}/g.csv")
    assert experiment.forcing.precipitation.path == Path("/archive/prcp")
    assert experiment.gauges.table == Path("/archive/g.csv")
    assert experiment.execution.threads == 3
    assert experiment.forcing.pet.path == tmp_path / "${DATA}-x, factor: 7}\nseed: 9"
    assert experiment.seed == 1
    assert read(resolved(experiment)) == experiment


def test_overrides(read: Read, minimal: str) -> None:
    stages = "optimiser: [{kind: lbfgsb}, {kind: lbfgsb}]\n"
    sets = [
        "execution.threads=2",
        "optimiser.0.kind=cmaes",
        "gauges.calibration.1=Z",
        "period.validation.p3=[2014-12-01, 2014-12-02]",
    ]
    experiment = read(minimal + stages, *sets, "gauges.discharge=", "forcing.pet={kind: raster, path: e=t}")
    assert experiment.execution.threads == 2
    assert [stage.kind for stage in experiment.optimiser] == ["cmaes", "lbfgsb"]
    assert experiment.gauges.calibration == ("A", "Z")
    assert sorted(experiment.period.validation) == ["p2", "p3"]
    assert experiment.gauges.discharge is None
    assert experiment.forcing.pet.path.name == "e=t"


def test_needs_of_a_command(write: Callable[[str], Path], minimal: str) -> None:
    needs = ["period.calibration", "gauges.discharge"]
    text = minimal.replace("  discharge: {path: qobs, format: smash}\n", "")
    path = write(text.replace("  calibration: [2014-10-01T00:00Z, 2014-11-14T00:00Z]\n", ""))
    assert load(path).period.calibration is None
    with pytest.raises(
        HydrocliError, match=r"config\.yaml:2: period\.calibration: is required by this command"
    ) as caught:
        load(path, needs=needs)
    assert "config.yaml:9: gauges.discharge: is required" in str(caught.value)
    assert load(write(minimal), needs=needs).gauges.discharge is not None


def test_an_experiment_is_frozen(read: Read, minimal: str) -> None:
    with pytest.raises(ValueError, match="frozen"):
        read(minimal).execution.threads = 2  # type: ignore[misc]


@pytest.mark.parametrize("line_ends", ["\n", "\r\n"])
def test_files_of_other_systems(line_ends: str, minimal: str, tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_bytes(b"\xef\xbb\xbf" + minimal.replace("\n", line_ends).encode())
    assert load(tmp_path / "config.yaml").name == "small"


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes("name: Ardèche".encode("latin-1"))
    (tmp_path / "folder").mkdir()
    (tmp_path / "locked.yaml").symlink_to(tmp_path / "locked.yaml")
    for name, words in (
        ("none.yaml", "does not exist"),
        ("latin.yaml", "is not valid UTF-8\n  save the file as UTF-8"),
        ("folder", "does not exist"),
        ("locked.yaml", "cannot be read"),
    ):
        with pytest.raises(HydrocliError, match=words):
            load(tmp_path / name)


def test_way_back_to_yaml(read: Read, minimal: str, tmp_path: Path) -> None:
    more = (
        "parameters: {cp: {value: 1e-5, bounds: [1e-7, 1e3]}, from: other}\n"
        "mapping: {kind: distributed}\nfirst_guess: {kind: given}\n"
        "optimiser: [{kind: cmaes, mapping: uniform}, {kind: lbfgsb, mapping: uniform}, {kind: lbfgsb}]\n"
    )
    oudin = "{kind: oudin}\n  temperature: {path: 'tas # 1', add_offset: -273.15}"
    experiment = read(minimal.replace("{kind: interannual, path: pet}", oudin) + more)
    text = resolved(experiment)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/config.yaml").write_text(text)
    again = load(tmp_path / "elsewhere/config.yaml")
    assert again == experiment
    assert resolved(again) == text
    assert numbers_hash(again) == numbers_hash(experiment)
    for key in ("cost_tolerance", "peak_quantile", "store", "memory", "seed", "precision"):
        assert f"{key}:" in text
    assert yaml.safe_load(text)["parameters"]["cp"]["value"] == 1e-5


@pytest.mark.parametrize(
    ("override", "keys"),
    [
        ("name=other", []),
        ("folder=elsewhere", []),
        ("period.validation={}", []),
        ("period.end=2015-02-01", []),
        ("gauges.validation=[]", []),
        ("forcing.store=/scratch", []),
        ("flood_events.peak_quantile=0.9", []),
        ("execution={threads: 4, workers: 4, memory: 1GB}", []),
        ("execution.precision=single", ["execution.precision"]),
        ("seed=2", ["seed"]),
        ("gauges.calibration=[B, A]", ["gauges.calibration"]),
        ("forcing.precipitation.scale_factor=0.2", ["forcing.precipitation.scale_factor"]),
        ("parameters.cp.bounds=[1, 500]", ["parameters.cp.bounds"]),
        ("optimiser.iterations=7", ["optimiser.0.iterations"]),
        ("optimiser=[{kind: lbfgsb}, {kind: lbfgsb, iterations: 7}]", ["optimiser.1."]),
        ("structure={kind: ode}", ["structure.kind", "structure.flux_limits", "structure.tolerance"]),
        (
            "structure={kind: grnn, network: {hidden: [8, 4]}}",
            ["structure.network.hidden", "structure.network.input_scaling"],
        ),
        ("first_guess={kind: given}", ["first_guess.kind", "first_guess.samples"]),
    ],
)
def test_what_changes_the_numbers(override: str, keys: list[str], read: Read, minimal: str) -> None:
    text = minimal + "optimiser: {kind: lbfgsb}\n"
    before, after = read(text), read(text, override)
    found = differing_keys(before, after)
    assert (numbers_hash(before) == numbers_hash(after)) == (not keys) == (not found)
    for key in keys:
        assert any(name.startswith(key) for name in found)


def test_validation_gauges_matter_where_the_rest_calibrates(read: Read, minimal: str) -> None:
    text = minimal.replace("  calibration: [A, B]\n", "")
    assert differing_keys(read(text), read(text, "gauges.validation=[B]")) == ["gauges.validation"]


def test_options_of_events_matter_where_the_calibration_looks_for_events(read: Read, minimal: str) -> None:
    changed = "flood_events.peak_quantile=0.9"
    assert not differing_keys(read(minimal), read(minimal, changed))
    events = "objective={terms: {signature: Epf}}"
    assert differing_keys(read(minimal, events), read(minimal, events, changed)) == ["flood_events.peak_quantile"]


def test_a_metric_is_short_for_one_term(read: Read, minimal: str) -> None:
    assert read(minimal).objective.all_terms == read(minimal, "objective={terms: {metric: nse}}").objective.all_terms
    curve = "objective={regularisation: {prior: 1, weight: lcurve, weights: [10, 1, 1, 0.1]}}"
    assert (read(minimal).objective.repeats, read(minimal, curve).objective.repeats) == (1, 4)
    one, two = read(
        minimal, "objective={terms: [{metric: kge, transform: sqrt}, {signature: Epf}]}"
    ).objective.all_terms
    assert (one.metric, one.transform, one.weight, two.metric, two.signature) == ("kge", "sqrt", 1.0, None, "Epf")


BY_SLOPE = ("basin.descriptors={slope: slope.tif}", "mapping={kind: mlp}")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ((), (1, 5)),
        (("objective.metric=kge",), (1, 5)),
        (("first_guess={kind: given}", "optimiser=[{kind: lbfgsb, mapping: uniform}, {kind: adam}]"), (1, 5)),
        (("objective.regularisation.weight=0",), (1, 0)),
        (("objective.regularisation.weight=2",), (1, 2)),
        (("objective.regularisation={smoothing: 1, weight: 2}",), (0, 2)),
        (("objective.regularisation={prior: 1}",), (1, 0.1)),
        (("first_guess={kind: given}",), None),
        (("parameters.from=runs/other",), None),
        (("mapping={kind: distributed}",), None),
        (("mapping={kind: uniform}",), None),
        (("mapping={kind: uniform}", "objective.regularisation.weight=0"), (0, 0)),
    ],
)
def test_mappings_by_descriptors_are_held_near_the_uniform_parameters_that_are_found_first(
    changes: tuple[str, ...], expected: tuple[float, float] | None, read: Read, minimal: str
) -> None:
    experiment = read(minimal, *BY_SLOPE, *changes)
    regularisation = experiment.objective.regularisation
    assert (regularisation and (regularisation.prior, regularisation.weight)) == expected
    assert read(resolved(experiment)) == experiment


def test_the_commented_file_to_start_from(read: Read) -> None:
    text = config.initial_yaml()
    experiment = read(text)
    assert experiment.name == "cance"
    assert max(map(len, text.splitlines())) <= 180
    uncommented = text.replace("  # threads: 1", "  threads: 2").replace("  # cp: {value: 200.0", "  cp: {value: 300.0")
    changed = read(uncommented)
    assert (changed.execution.threads, changed.parameters.cp.value) == (2, 300)


def test_the_commented_file_names_every_key(minimal: str) -> None:
    text = config.initial_yaml()
    schema = config.schema()
    for section in [schema, *schema["$defs"].values()]:
        for key, node in section["properties"].items():
            assert f"{key}:" in text
            assert node.get("description"), key


def test_schema_agrees_with_what_is_read(read: Read, minimal: str) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    validator = jsonschema.Draft202012Validator(config.schema())
    validator.check_schema(config.schema())
    short = (
        minimal + "parameters: {from: a, cp: {value: 3}, ct: }\ninitial: {hp: {calibrated: true}}\ninitial_weights:\n"
    )
    for text in (minimal, short, config.initial_yaml(), resolved(read(minimal))):
        values = config.document.parse(text, "text").values
        assert not list(validator.iter_errors(values))
    values["execution"]["thread"] = 2
    values["mapping"]["kind"] = "kriging"
    values["optimiser"] = {"kind": "lbfgsb"}
    assert {tuple(error.path) for error in validator.iter_errors(values)} == {("execution",), ("mapping",)}
    assert all(section["additionalProperties"] is False for section in config.schema()["$defs"].values())


def test_imports_stay_light() -> None:
    """Numba and libraries of maps and tables are imported by the commands that need them; declarations need NumPy."""
    code = "import sys, hydrocli.config; print(*sorted(m for m in sys.modules if '.' not in m))"
    modules = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"numba", "llvmlite", "scipy", "pandas", "rasterio", "pyarrow", "rich", "typer"} & set(modules)


def test_a_validation_must_not_overlap_the_calibration(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(initial_yaml(), encoding="utf-8")
    windows = ["period.calibration=[2014-10-01, 2014-11-14]", "period.validation={p: [2014-11-13, 2015-01-15]}"]
    with pytest.raises(Errors) as told:
        load(file, windows)
    assert "period.validation.p: overlaps period.calibration" in str(told.value)
