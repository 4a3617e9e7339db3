"""What is refused: each with the line, the key and words that help; and all at once."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from hydrocli.config.load import RENAMED

Complaint = Callable[..., str]

# (text in the minimal file, what stands there instead, what the message says)
WRONG = {
    "unknown key": (
        "encoding: smash",
        "encodng: smash",
        [
            "config.yaml:9: basin.flow_directions.encodng: is not a known key",
            "did you mean `encoding`?",
            "encoding: is required",
        ],
    ),
    "unknown section": ("gauges:", "gages:", ["config.yaml:10: gages: is not a known key\n  did you mean `gauges`?"]),
    "unknown key, none near": (
        "name: small",
        "name: small\nzzz: 1",
        ["config.yaml:2: zzz", "one of: name, folder, seed"],
    ),
    "missing key in a flow mapping": (
        "{path: flwdir.tif, encoding: smash}",
        "{path: flwdir.tif}",
        ["config.yaml:9: basin.flow_directions.encoding: is required\n  esri (1, 2, 4"],
    ),
    "missing section": ("name: small\n", "", ["config.yaml: name: is required"]),
    "empty required section": (
        "  table: gauges.csv\n  discharge: {path: qobs, format: smash}\n  calibration: [A, B]\n  validation: [C]\n",
        "",
        ["config.yaml:10: gauges: is required"],
    ),
    "unknown variant": (
        "kind: interannual",
        "kind: interanual",
        [
            "config.yaml:17: forcing.pet.kind: 'interanual' is not possible",
            "did you mean `interannual`?",
        ],
    ),
    "variant left out": (
        "kind: interannual, ",
        "",
        ["config.yaml:17: forcing.pet.kind: is required\n  one of: interannual, raster, oudin"],
    ),
    "key of another variant": (
        "path: pet",
        "temperature: {path: tas}",
        [
            "config.yaml:17: forcing.pet.temperature: is not a known key\n  one of: path, format, variable, unit",
            "config.yaml:17: forcing.pet.path: is required",
        ],
    ),
    "inside a variant": (
        "{kind: interannual, path: pet}",
        "{kind: oudin}\n  temperature: {path: tas, offset: 1}",
        ["config.yaml:18: forcing.temperature.offset: 1 is not a shift of times", "for values use add_offset"],
    ),
    "oudin without temperature": (
        "{kind: interannual, path: pet}",
        "{kind: oudin}",
        ["config.yaml:17: forcing.pet.kind: oudin computes it from the air", "add forcing.temperature"],
    ),
    "structure that is none": (
        "forcing:",
        "structure: {kind: grn}\nforcing:",
        ["config.yaml:15: structure.kind: 'grn' is not possible\n  did you mean `grnn`?"],
    ),
    "network of a structure without": (
        "forcing:",
        "structure: {kind: ode, network: {hidden: [8]}}\nforcing:",
        [
            "config.yaml:15: structure.network: is not a known key"
            "\n  one of: kind, snow, impervious, routing, scheme, substeps, flux_limits, tolerance"
        ],
    ),
    "batches of basins where there is one": (
        "forcing:",
        "optimiser: {kind: adam, batches: {basins: 2}}\nforcing:",
        [
            "config.yaml:15: optimiser.batches.basins: needs several basins\n"
            "  add basins to regional.basins, or remove the key"
        ],
    ),
    "weights for a structure without": (
        "forcing:",
        "initial_weights: {from: runs/other}\nforcing:",
        ["config.yaml:15: initial_weights.from: the structure gr has no network\n  use one of "],
    ),
    "training of a network that is not there": (
        "forcing:",
        "optimiser: {kind: adam, train: [network]}\nforcing:",
        ["config.yaml:15: optimiser.train: the structure gr has no network"],
    ),
    "kink in Newton's method": (
        "forcing:",
        "structure: {kind: node, network: {activation: leaky_relu}}\nforcing:",
        [
            "config.yaml:15: structure.network.activation: leaky_relu is not smooth, as Newton's method requires",
            "\n  use silu, or network_coupling: lagged",
        ],
    ),
    "three hidden layers": (
        "forcing:",
        "structure: {kind: grnn, network: {hidden: [8, 8, 8]}}\nforcing:",
        ["config.yaml:15: structure.network.hidden: has 3 hidden layers\n  use one or two, for example [16]"],
    ),
    "no hidden layer": (
        "forcing:",
        "structure: {kind: grnn, network: {hidden: []}}\nforcing:",
        ["config.yaml:15: structure.network.hidden: has 0 hidden layers"],
    ),
    "empty hidden layer": (
        "forcing:",
        "structure: {kind: grnn, network: {hidden: [8, 0]}}\nforcing:",
        ["config.yaml:15: structure.network.hidden.1: must be at least 1, found 0"],
    ),
    "tolerance that is none": (
        "forcing:",
        "structure: {kind: ode, tolerance: 0}\nforcing:",
        ["config.yaml:15: structure.tolerance: must be at least 1e-14, found 0"],
    ),
    "what cannot be freed": (
        "forcing:",
        "optimiser: {kind: lbfgsb, train: [cp, slope]}\nforcing:",
        ["config.yaml:15: optimiser.train: 'slope' cannot be trained\n  one of: parameters, network, cp, ct"],
    ),
    "all parameters and one": (
        "forcing:",
        "optimiser: {kind: lbfgsb, train: [parameters, cp]}\nforcing:",
        ["optimiser.train: lists `parameters` and single parameters\n  use `parameters`, or the single ones"],
    ),
    "a level that is not calibrated is freed": (
        "forcing:",
        "optimiser: {kind: sbs, train: [cp, hp]}\nforcing:",
        ["config.yaml:15: optimiser.train: hp is not calibrated\n  set hp.calibrated: true"],
    ),
    "nothing is free": (
        "forcing:",
        "structure: {kind: grnn}\noptimiser: {kind: adam, train: []}\nforcing:",
        ["config.yaml:16: optimiser.train: is empty or lists an entry more than once\n  use [parameters]"],
    ),
    "cmaes on weights": (
        "forcing:",
        "structure: {kind: grnn}\noptimiser: {kind: cmaes, train: [network]}\nforcing:",
        [
            "config.yaml:16: optimiser.train: cmaes calibrates parameters only\n"
            "  train the network with a stage of kind adam"
        ],
    ),
    "mapping of a later version": (
        "forcing:",
        "mapping: {kind: kriging}\nforcing:",
        ["config.yaml:15: mapping.kind: 'kriging' is not possible\n  one of: uniform, distributed, multilinear"],
    ),
    "mapping without descriptors": (
        "forcing:",
        "mapping: {kind: mlp}\nforcing:",
        ["config.yaml:15: mapping.kind: mlp needs descriptors\n  add them to basin.descriptors"],
    ),
    "descriptors that are not there": (
        "{path: flwdir.tif, encoding: smash}\n",
        "{path: flwdir.tif, encoding: smash}\n  descriptors: {slope: s.tif}\n"
        "mapping: {kind: multilinear, uniform_parameters: [cp], descriptors: [wind], "
        "descriptors_by_parameter: {cp: [slope], ct: [sun]}}\n",
        [
            "mapping.descriptors: wind is not in basin.descriptors",
            "mapping.descriptors_by_parameter.ct: sun is not in basin.descriptors",
            "mapping.descriptors_by_parameter.cp: is also in mapping.uniform_parameters",
        ],
    ),
    "descriptors that are none, or too many layers": (
        "forcing:",
        "mapping: {kind: cnn, uniform_parameters: [cp, cp], descriptors: [], "
        "channels: [1, 2, 3, 4, 5, 6, 7, 8, 9]}\nforcing:",
        [
            "mapping.uniform_parameters: lists an entry more than once",
            "mapping.descriptors: is empty\n  remove the key to use all descriptors",
            "mapping.channels: has 9 layers\n  use one to eight, for example [96, 48, 16]",
        ],
    ),
    "mapping of what is not calibrated": (
        "forcing:",
        "mapping: {kind: distributed, uniform_parameters: [akw, hp]}\nparameters: {akw: {calibrated: false}}\nforcing:",
        [
            "config.yaml:15: mapping.uniform_parameters: not calibrated: akw, hp\n  remove it, or calibrate",
        ],
    ),
    "routing that is none": (
        "forcing:",
        "structure: {kind: gr6, routing: muskingum}\nforcing:",
        ["config.yaml:15: structure.routing: 'muskingum' is not possible", "kinematic_wave"],
    ),
    "impervious surfaces that are nowhere": (
        "forcing:",
        "structure: {kind: gr6, impervious: town}\nforcing:",
        ["structure.impervious: town is not in basin.descriptors\n  add it there, or remove the key"],
    ),
    "impervious surfaces under snow": (
        "forcing:",
        "structure: {kind: gr, snow: degree_day, impervious: town}\nforcing:",
        ["structure.impervious: is not possible together with snow"],
    ),
    "parameters of another routing": (
        "forcing:",
        "structure: {kind: gr, routing: lag0}\nparameters: {akw: {value: 3}}\nforcing:",
        ["parameters.akw: the structure gr has no such quantity\n  it has cp, ct, kexc"],
    ),
    "stage of another mapping": (
        "forcing:",
        "mapping: {kind: distributed}\noptimiser: [{kind: adam, mapping: mlp}, {kind: lbfgsb}]\nforcing:",
        ["config.yaml:16: optimiser.0.mapping: a stage has the mapping uniform or distr"],
    ),
    "metric that is none": (
        "forcing:",
        "objective: {metric: nash}\nforcing:",
        ["config.yaml:15: objective.metric: 'nash' is not possible", "nse, kge"],
    ),
    "metric beside terms": (
        "forcing:",
        "objective: {metric: nse, terms: [{metric: kge}]}\nforcing:",
        ["config.yaml:15: objective.metric: cannot be combined with terms"],
    ),
    "terms that are none": (
        "forcing:",
        "objective: {terms: [{metric: nse}, {metric: kge}, {signature: Peak}, {signature: Elt}]}\nforcing:",
        [
            "objective.terms.2.signature: 'Peak' is not a signature\n  one of: Crc",
            "objective.terms.3.signature: Elt has no derivative",
        ],
    ),
    "terms without or with two": (
        "forcing:",
        "objective: {terms: [{weight: 2}, {metric: nse, signature: Epf}]}\nforcing:",
        [
            "objective.terms.0: needs either a metric or a signature",
            "objective.terms.1: needs either a metric or a signature",
        ],
    ),
    "transforms that do not fit": (
        "forcing:",
        "objective: {terms: [{metric: kge, transform: log}, {signature: Epf, transform: sqrt}]}\nforcing:",
        [
            "objective.terms.0.transform: log is not possible with kge: it divides by the mean",
            "objective.terms.1.transform: signatures have no transform (Epf)",
        ],
    ),
    "a penalty on nothing": (
        "forcing:",
        "objective: {regularisation: {weight: 1}}\nforcing:",
        ["config.yaml:15: objective.regularisation: has neither prior nor smoothing"],
    ),
    "a weight that is none": (
        "forcing:",
        "objective: {regularisation: {prior: 1, weight: curve}}\nforcing:",
        ["objective.regularisation.weight: 'curve' is not possible", "lcurve"],
    ),
    "smoothing of uniform parameters": (
        "forcing:",
        "objective: {regularisation: {smoothing: 1}}\nforcing:",
        ["objective.regularisation.smoothing: uniform parameters have no spatial variation to smooth"],
    ),
    "an L-curve of several basins": (
        "forcing:",
        "objective: {regularisation: {prior: 1, weight: lcurve}}\nregional: {basins: [other.yaml]}\nforcing:",
        ["objective.regularisation.weight: lcurve is not possible for several basins"],
    ),
    "Dask for one basin": (
        "forcing:",
        "execution: {cluster: local}\nforcing:",
        ["execution.cluster: Dask distributes the basins of regional.basins, and there are none", "hydrocli batch"],
    ),
    "Dask by SLURM": (
        "forcing:",
        "execution: {cluster: slurm}\nregional: {basins: [other.yaml]}\nforcing:",
        ["execution.cluster: slurm is possible for campaigns only", "(sbatch), and give the address"],
    ),
    "words for weights": (
        "  calibration: [A, B]",
        "  calibration: [A, B]\n  weights: areas",
        ["gauges.weights: 'areas' is not possible\n  did you mean `area`?"],
    ),
    "optimiser that is none": (
        "forcing:",
        "optimiser: {kind: sgd}\nforcing:",
        ["config.yaml:15: optimiser.kind: 'sgd' is not possible\n  one of: lbfgsb, levenberg_marquardt, adam, cmaes"],
    ),
    "rate of nothing": (
        "forcing:",
        "optimiser: {kind: adam, learning_rate: 0, beta1: 1}\nforcing:",
        ["optimiser.learning_rate: must be above 0, found 0", "optimiser.beta1: must be below 1, found 1"],
    ),
    "single stage": (
        "forcing:",
        "optimiser: {kind: lbfgsb, iterations: 0}\nforcing:",
        ["config.yaml:15: optimiser.iterations: must be at least 1, found 0"],
    ),
    "second stage": (
        "forcing:",
        "optimiser:\n  - kind: cmaes\n  - kind: lbfgsb\n    iteration: 3\nforcing:",
        ["config.yaml:18: optimiser.1.iteration: is not a known key\n  did you mean `iterations`?"],
    ),
    "no stage": (
        "forcing:",
        "optimiser: []\nforcing:",
        ["config.yaml:15: optimiser: is empty"],
    ),
    "cmaes on maps": (
        "forcing:",
        "mapping: {kind: distributed}\noptimiser: {kind: cmaes}\nforcing:",
        ["config.yaml:16: optimiser.kind: cmaes calibrates uniform parameters only"],
    ),
    "stages that end elsewhere": (
        "forcing:",
        "mapping: {kind: distributed}\noptimiser: {kind: lbfgsb, mapping: uniform}\nforcing:",
        ["config.yaml:16: optimiser.mapping: the last stage has the mapping uniform, but mapping.kind is dist"],
    ),
    "stages that lose the maps": (
        "forcing:",
        "optimiser: [{kind: lbfgsb, mapping: distributed}, {kind: lbfgsb}]\nforcing:",
        ["config.yaml:15: optimiser.1.mapping: uniform after distributed would discard the maps"],
    ),
    "scalar for a section": (
        "forcing:",
        "mapping: uniform\nforcing:",
        ["config.yaml:15: mapping: a section of `key: value` lines is expected, found 'uniform'"],
    ),
    "required, but without a value": (
        "path: prcp",
        "path: ",
        ["config.yaml:16: forcing.precipitation.path: is required"],
    ),
    "unknown, and without a value": (
        "forcing:",
        "exection:\nforcing:",
        ["config.yaml:15: exection: is not a known key"],
    ),
    "list for a section": ("forcing:", "execution: [1]\nforcing:", ["execution: a section of", "found a list"]),
    "text for a number": (
        "factor: 0.1",
        "factor: tenth",
        ["forcing.precipitation.scale_factor: a number is expected, found 'tenth'"],
    ),
    "yes is no switch": (
        "forcing:",
        "parameters: {cp: {calibrated: yes}}\nforcing:",
        ["config.yaml:15: parameters.cp.calibrated: true or false is expected, found 'yes'"],
    ),
    "not finite": ("factor: 0.1", "factor: 1e999", ["forcing.precipitation.scale_factor: a finite number is expected"]),
    "offset of sums": (
        "scale_factor: 0.1",
        "accumulated: day, add_offset: 1",
        ["forcing.precipitation.add_offset: is lost in the differences", "remove it, or `accumulated`"],
    ),
    "factor of 0": (
        "factor: 0.1",
        "factor: 0",
        ["forcing.precipitation.scale_factor: is 0, which would make all values equal"],
    ),
    "fractional seed": (
        "name: small",
        "name: small\nseed: 1.5",
        ["config.yaml:2: seed: a whole number is expected, found 1.5"],
    ),
    "quoted seed": (
        "name: small",
        "name: small\nseed: '1'",
        ["config.yaml:2: seed: a whole number is expected, found '1'"],
    ),
    "duplicate key": (
        "name: small",
        "name: small\nseed: 1\nseed: 2",
        ["config.yaml:2: seed: duplicate key (first on line 2, again on line 3)"],
    ),
    "duplicate key below": (
        "path: prcp,",
        "path: prcp, path: rain,",
        ["config.yaml:16: forcing.precipitation.path: duplicate key (first on line 16, again on line 16)"],
    ),
    "unset variable": (
        "path: prcp",
        "path: ${NO_SUCH_VARIABLE}/prcp",
        ["config.yaml:16: forcing.precipitation.path: the environment variable NO_SUCH_VARIABLE is not set"],
    ),
    "no variable": (
        "path: prcp",
        "path: '${1}/prcp'",
        ["config.yaml:16: forcing.precipitation.path: '${1}/prcp' contains ${"],
    ),
    "name with a separator": ("name: small", "name: ../x", ["config.yaml:1: name: only letters, digits, _, - and ."]),
    "descriptor name that leaves": (
        "basin:",
        "basin:\n  descriptors: {../../x: a.tif}",
        ["config.yaml:9: basin.descriptors.../../x: only letters, digits, _, - and ."],
    ),
    "gauge code that leaves": (
        "[C]",
        "[../C]",
        ["config.yaml:14: gauges.validation.0: the gauge code '../C' holds a slash"],
    ),
    "gauge code that was a number": (
        "[C]",
        "[1E3]",
        ["config.yaml:14: gauges.validation.0: 1000.0 is not", "in quotes"],
    ),
    "the folder of the YAML": (
        "name: small",
        "name: small\nfolder: .",
        ["config.yaml:2: folder: '.' is the folder of"],
    ),
    "above the YAML": ("name: small", "name: small\nfolder: ..", ["config.yaml:2: folder: '..' is the folder of"]),
    "a program in a folder": (
        "name: small",
        "name: small\nfolder: 'runs/{now.__class__}'",
        ["config.yaml:2: folder: 'runs/{now.__class__}' contains braces"],
    ),
    "no path": ("path: prcp", "path: ''", ["config.yaml:16: forcing.precipitation.path: '' is not a path"]),
    "number as a path": ("path: prcp", "path: 12", ["config.yaml:16: forcing.precipitation.path: 12 is not a path"]),
    "no time": (
        "2014-09-15T00:00Z",
        "soon",
        ["config.yaml:4: period.start: 'soon' is not a time\n  use ISO 8601, for example"],
    ),
    "a number as a time": ("2014-09-15T00:00Z", "2014", ["config.yaml:4: period.start: 2014 is not a time"]),
    "no such day": ("2014-09-15T00:00Z", "2014-02-30", ["config.yaml:4: period.start: '2014-02-30' is not a time"]),
    "fraction of a second": ("2014-09-15T00:00Z", "2014-09-15T00:00:00.5Z", ["period.start", "fractions of a second"]),
    "no step": (
        "step: 1h",
        "step: hourly",
        ["config.yaml:3: period.step: 'hourly' is not a time step\n  use 15min"],
    ),
    "step that divides no day": (
        "step: 1h",
        "step: 7h",
        ["config.yaml:3: period.step: '7h' is not a possible time step"],
    ),
    "short step": ("step: 1h", "step: 5min", ["config.yaml:3: period.step: '5min' is not a possible time step"]),
    "long step": ("step: 1h", "step: 2d", ["config.yaml:3: period.step: '2d' is not a possible time step"]),
    "backwards": ("end: 2015", "end: 2013", ["config.yaml:5: period.end: 2013-01-15T00:00Z is not after start"]),
    "end off the steps": (
        "end: 2015-01-15T00:00Z",
        "end: 2015-01-15T00:20Z",
        ["period.end", "not a whole number of steps"],
    ),
    "calibration before the start": (
        "[2014-10-01T00:00Z",
        "[2014-09-01T00:00Z",
        ["config.yaml:6: period.calibration: is not inside the period\n  period.start to period.end is 2014"],
    ),
    "calibration backwards": ("[2014-10-01", "[2014-12-01", ["period.calibration: does not end after it starts"]),
    "calibration without end": (
        "[2014-10-01T00:00Z, 2014-11-14T00:00Z]",
        "[2014-10-01T00:00Z]",
        ["period.calibration: a pair"],
    ),
    "calibration of three": (
        "2014-11-14T00:00Z]\n",
        "2014-11-14, 2014-11-15]\n",
        ["period.calibration: has 3 entries, 2 expected"],
    ),
    "validation outside": (
        "p2: [2014-11-14T00:00Z, 2015-01-15T00:00Z]",
        "p2: [2014-11-14T00:00Z, 2016-01-15T00:00Z]",
        ["config.yaml:7: period.validation.p2: is not inside the period"],
    ),
    "validation named calibration": (
        "{p2:",
        "{calibration:",
        ["period.validation.calibration: is reserved for the calibration"],
    ),
    "gauge twice": ("[A, B]", "[A, B, A]", ["config.yaml:13: gauges.calibration: gauge A is listed more than once"]),
    "gauge in both": ("[C]", "[B]", ["config.yaml:14: gauges.validation: gauge B is also in gauges.calibration"]),
    "no calibration gauge": (
        "[A, B]",
        "[]",
        ["config.yaml:13: gauges.calibration: is empty"],
    ),
    "weight left out": ("[C]", "[C]\n  weights: {A: 1}", ["config.yaml:15: gauges.weights: gauge B has no weight"]),
    "weight of another": (
        "[C]",
        "[C]\n  weights: {A: 1, B: 1, C: 1}",
        ["config.yaml:15: gauges.weights.C: is not in"],
    ),
    "weight of nothing": (
        "[C]",
        "[C]\n  weights: {A: 0, B: 1}",
        ["config.yaml:15: gauges.weights.A: must be above 0, found 0"],
    ),
    "bounds crossed": (
        "forcing:",
        "parameters: {cp: {bounds: [500, 100]}}\nforcing:",
        ["config.yaml:15: parameters.cp.bounds: 500 is not below 100"],
    ),
    "value outside its bounds": (
        "forcing:",
        "parameters:\n  ct: {value: 2000}\nforcing:",
        ["config.yaml:16: parameters.ct.value: 2000 is outside its bounds, 1e-06 to 1000\n  set ct.bounds too"],
    ),
    "negative capacity": (
        "forcing:",
        "parameters: {cp: {bounds: [-1, 100]}}\nforcing:",
        ["parameters.cp.bounds: -1 is not possible\n  production capacity [mm] must be above 0"],
    ),
    "overfull store": (
        "forcing:",
        "initial: {hp: {value: 1}}\nforcing:",
        ["initial.hp.value: 1 is not possible", "0.999999"],
    ),
    "interception is not calibrated": (
        "forcing:",
        "initial: {hi: {calibrated: true}}\nforcing:",
        ["initial.hi.calibrated: is not a known key\n  one of: value"],
    ),
    "a number for a setting": (
        "forcing:",
        "parameters: {kexc: 0}\nforcing:",
        ["parameters.kexc: a section of", "found 0"],
    ),
    "unknown parameter": (
        "forcing:",
        "parameters: {cpp: {value: 1}}\nforcing:",
        ["parameters.cpp: is not", "did you mean `cp`?"],
    ),
    "memory": (
        "forcing:",
        "execution: {memory: lots}\nforcing:",
        ["execution.memory: 'lots' is not an amount of memory"],
    ),
    "alias": ("name: small", "name: &a small\nseed: *a", ["config.yaml:1: invalid YAML: tags, anchors and aliases"]),
    "python object": (
        "name: small",
        "name: !!python/object/apply:os.system [ls]",
        ["config.yaml:1: invalid YAML: tags"],
    ),
    "tab": ("  step: 1h", "\tstep: 1h", ["config.yaml:3: is indented with a tab\n  indent with spaces"]),
    "indentation": (
        "  table: gauges.csv",
        "   table: gauges.csv",
        ["config.yaml:12: invalid YAML: the indentation does not match"],
    ),
    "open bracket": ("[A, B]", "[A, B", ["config.yaml:14: invalid YAML: a bracket or brace is not closed"]),
    "two documents": (
        "name: small",
        "name: small\n---\na: 1",
        ["config.yaml:2: invalid YAML: a second document begins here"],
    ),
    "merge key": ("name: small", "name: small\n<<: {seed: 1}", ["config.yaml:2: <<: is not a known key"]),
    "control character": ("name: small", "name: small\nseed: \0", ["config.yaml:2: contains a control character"]),
}


@pytest.mark.parametrize("case", WRONG)
def test_says_where_what_and_what_to_do(case: str, minimal: str, complaint: Complaint) -> None:
    old, new, expected = WRONG[case]
    assert old in minimal
    message = complaint(minimal.replace(old, new, 1))
    for words in expected:
        assert words in message
    for internal in ("function-", "Input should", "pydantic", "union", "tuple["):
        assert internal not in message


def test_all_errors_at_once_in_the_order_of_the_file(minimal: str, complaint: Complaint) -> None:
    text = (
        minimal.replace("step: 1h", "step: 7h")
        .replace("[C]", "[B]")
        .replace("scale_factor: 0.1", "scale_factr: ${UNSET_NAME}")
    )
    message = complaint(text + "mapping: {kind: distributed}\noptimiser: {kind: cmaes}\n", "execution.threads=0")
    found = re.findall(r"^\S*?config\.yaml:(\d+): (\S+):|^--set (\S+):", message, re.MULTILINE)
    assert found == [
        ("", "", "execution.threads"),
        ("3", "period.step", ""),
        ("14", "gauges.validation", ""),
        ("16", "forcing.precipitation.scale_factr", ""),
        ("19", "optimiser.kind", ""),
    ]


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("seed", "--set seed: is not of the form section.key=value"),
        ("=1", "--set =1: is not of the form"),
        ("optimser.kind=cmaes", "--set optimser: is not a known key\n  did you mean `optimiser`?"),
        ("execution.thread=2", "--set execution.thread: is not a known key\n  did you mean `threads`?"),
        ("name.first=a", "--set name.first: name is a single value"),
        (
            "gauges.calibration.7=Z",
            "--set gauges.calibration.7: gauges.calibration is a list of 2 entries, numbered from 0",
        ),
        ("gauges.calibration.x=Z", "--set gauges.calibration.x: gauges.calibration is a list of 2"),
        ("seed=many", "--set seed: a whole number is expected, found 'many'"),
        ("seed=[1", "--set seed:1: invalid YAML: a bracket or brace is not closed"),
        ("gauges.table=${NO_SUCH_VARIABLE}", "the environment variable NO_SUCH_VARIABLE is not set"),
        ("optimiser={kind: lbfgsb, steps: 2}", "--set optimiser.steps: is not a known key"),
    ],
)
def test_wrong_overrides(override: str, words: str, minimal: str, complaint: Complaint) -> None:
    assert words in complaint(minimal, override)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "config.yaml: is empty\n  `hydrocli init` writes a template"),
        ("# only a comment\n", "config.yaml: is empty"),
        ("[1, 2]", "config.yaml: has no `key: value` lines"),
        ("text", "config.yaml: has no `key: value` lines"),
        ("a: " + "[" * 5000, "config.yaml: is nested too deeply"),
    ],
)
def test_files_that_hold_no_mapping(text: str, words: str, complaint: Complaint) -> None:
    assert words in complaint(text)


HOSTS = {
    "structure": ["structure={kind: node}", "structure={kind: node, network: {hidden: [8]}}"],
    "mapping": ["mapping={kind: multilinear}"],
    "objective": ["objective={regularisation: {prior: 1}}"],
    "optimiser": [*(f"optimiser={{kind: {kind}}}" for kind in ("adam", "lbfgsb", "sbs", "cmaes"))],
    "forcing": ["forcing.temperature={path: t}"],
}


@pytest.mark.parametrize(("old", "new"), [item for item in RENAMED.items() if item[0] != "then"])  # of a campaign
def test_a_key_of_an_early_version_is_answered_by_its_name_today(
    old: str, new: str, minimal: str, complaint: Complaint
) -> None:
    hosts = HOSTS.get(old.partition(".")[0], ["seed=1"])
    messages = [complaint(minimal, host, f"{old}=1") for host in hosts]
    assert any(f"--set {old}: is not a known key\n  did you mean `{new}`?" in message for message in messages)
