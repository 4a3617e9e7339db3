"""The one place that sets Numba's flags, and where compiled code is kept.

Two decorators. `kernel` is for the scalar functions of `water`: one cell, one step, written as the paper writes them.
Their literals take the precision of the arguments (`0.9` is float32 in a float32 kernel), so one source serves both.
`loop` is for the array loops of `structures` and `engine`, into which the kernels are inlined by LLVM and become SIMD.

Why these flags (each was measured):

* error_model "numpy": the default puts a branch behind every division, and nothing vectorises.
* fastmath contract, nsz, arcp: enough to vectorise. nnan and ninf would void the guards against NaN, reassoc breaks the
  rounding trick in `exp`.
* ...-memory-check-threshold: rows touch a dozen arrays or two; LLVM gives up on alias checks at 8 pointers, 128 pairs.
* no masks (LLVM's prefer-predicate-over-epilogue): rows are whole vectors (`hydrocli.engine.order`), and masked stores
  are slow without AVX-512.
* interleaving: a step is one long chain of dependent operations, and a processor looks ahead over little more than one
  vector of it. Two vectors side by side in the code are 5 % to 20 % faster, four need more registers than AVX2 has.
  Where two are longer than the whole vectors of a row (single precision with AVX-512), what is left is one vector.
* arguments share no memory (`_loop_compiler`): no addresses are compared before a loop.
* _nrt off: no reference counting, whose atomic instructions cost as much as a short row for every slice; a compiled
  function so cannot allocate, and works in arrays that it is given.
* nogil: threads inside a basin are Python threads that call compiled tiles.

The cache of compiled code lies in a folder named by a hash of all sources that are compiled, the versions and the CPU,
because Numba itself does not notice an edit in another file. `HYDROCLI_CACHE` names another place for it.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import os
import platform
import tempfile
import threading
import time
from collections.abc import Callable
from functools import cache
from importlib.metadata import version
from pathlib import Path
from types import FunctionType
from typing import Any, TypeVar

from hydrocli.errors import ConfigurationError

Function = TypeVar("Function", bound=Callable[..., object])

VECTOR = 16
"""Rows of cells are padded to multiples of this: one vector of float32, two of float64, on the widest machines."""
INTERLEAVED = 2
"""Vectors of a loop that are computed side by side."""
UNFINISHED = 3600.0
"""Seconds after which a file of the cache that is not finished belongs to no living process."""
ROOMS_COMPILED = ("water", "structures", "baselines", "engine", "synthetic", "score", "basin")
FLAGS: dict[str, Any] = {
    "error_model": "numpy",
    "fastmath": {"contract", "nsz", "arcp"},
    "nogil": True,
    "_nrt": False,
}


INSTRUCTION_SETS = {"avx2": ("znver3", ""), "sse2": ("x86-64", "")}
"""For x86-64: CPU and features for which `HYDROCLI_ISA` compiles; where no features stand, LLVM takes the CPU's."""


@cache
def cpu() -> tuple[str | None, str | None]:
    """CPU and features that Numba compiles for; None where that is Numba's own choice.

    `HYDROCLI_ISA` names an instruction set that the machine has, but would not choose; Numba's own variables are kept.

    Raises:
        ConfigurationError: `HYDROCLI_ISA` names none that this kind of machine can have.
    """
    import llvmlite.binding as llvm

    if asked := os.environ.get("HYDROCLI_ISA"):
        known = INSTRUCTION_SETS if platform.machine() in ("x86_64", "AMD64") else {}
        if asked not in known:
            what = f"{asked} is not an instruction set that can be chosen on {platform.machine()}"
            raise ConfigurationError(
                "HYDROCLI_ISA", what, f"Use {', '.join(known)}; or unset it." if known else "Unset it."
            )
        return INSTRUCTION_SETS[asked]
    name, features = os.environ.get("NUMBA_CPU_NAME"), os.environ.get("NUMBA_CPU_FEATURES")
    if name is None and features is None:
        host = llvm.get_host_cpu_features().flatten()
        if "+avx512f" in host:
            return llvm.get_host_cpu_name(), host + ",-prefer-256-bit"  # LLVM would use half of the registers' width
    return name, features


def _cpu_parts() -> list[str]:
    import llvmlite.binding as llvm

    return [*map(str, cpu()), llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()]


def _fingerprint() -> str:
    package = Path(__file__).parent
    digest = hashlib.sha256()
    for part in (platform.python_version(), version("numba"), version("llvmlite"), version("numpy"), *_cpu_parts()):
        digest.update(part.encode())
    for source in (Path(__file__), *sorted(s for room in ROOMS_COMPILED for s in (package / room).rglob("*.py"))):
        digest.update(source.name.encode() + source.read_bytes())
    return digest.hexdigest()[:16]


def cache_root() -> Path:
    """Folder that holds the caches of all versions: $HYDROCLI_CACHE, else the user's cache folder.

    A folder that cannot be written (a compute node without a home) is replaced by a private one in the temporary
    folder.
    """
    user = str(os.getuid()) if hasattr(os, "getuid") else os.environ.get("USERNAME", "user")
    for root in (*_wanted_roots(), Path(tempfile.gettempdir()) / f"hydrocli-{user}"):
        if _writable(root):
            return root
    return Path(tempfile.mkdtemp(prefix="hydrocli-"))


def replaced_cache() -> Path | None:
    """The folder that was asked for, where another one had to take its place."""
    wanted = _wanted_roots()
    return wanted[0] if wanted and wanted[0] != cache_folder().parent else None


def is_warm(kind: str) -> bool:
    """Whether all code of a kind of run, so named, has been compiled before."""
    return (cache_folder() / f"warm-{kind}").exists()


def mark_warm(kind: str) -> None:
    """Note that all code of a kind of run is compiled and kept."""
    with contextlib.suppress(OSError):
        (cache_folder() / f"warm-{kind}").touch()


def _wanted_roots() -> list[Path]:
    if asked := os.environ.get("HYDROCLI_CACHE"):
        return [Path(asked)]
    if asked := os.environ.get("XDG_CACHE_HOME"):
        return [Path(asked) / "hydrocli"]
    with contextlib.suppress(RuntimeError):  # a user without a home, as in many containers
        return [Path.home() / ".cache" / "hydrocli"]
    return []


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryFile(dir=folder):
            return not hasattr(os, "getuid") or folder.stat().st_uid == os.getuid()
    except OSError:
        return False


@cache
def cache_folder() -> Path:
    """Folder of the compiled code that fits these sources, versions and this CPU; created when asked for."""
    folder = cache_root() / f"compiled-{_fingerprint()}"
    folder.mkdir(exist_ok=True)
    for left in folder.rglob("*.tmp.*"):  # by Numba, when its process was killed
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > UNFINISHED:
                left.unlink()
    return folder


def is_compiled() -> bool:
    """Whether a gradient was compiled from these sources for this CPU; if not, the next run compiles first."""
    return any(cache_folder().rglob("*.reverse*.nbi"))


@cache
def _numba():
    """Numba with our settings, imported when something compiled is first called."""
    import llvmlite.binding as llvm
    import numba

    config: Any = numba.config
    config.CACHE_DIR = str(cache_folder())
    for threshold in ("runtime-memory-check-threshold", "vectorize-memory-check-threshold"):
        llvm.set_option("", f"--{threshold}=2000")
    llvm.set_option("", f"--force-vector-interleave={INTERLEAVED}")
    llvm.set_option("", f"--epilogue-vectorization-force-VF={VECTOR}")
    config.CPU_NAME, config.CPU_FEATURES = cpu()
    _take_features(config.CPU_FEATURES)

    from numba.core import types
    from numba.extending import typeof_impl

    @typeof_impl.register(Compiled)
    def _dispatcher_of(value, _context):
        return types.Dispatcher(value.callee)

    for module in _implementations:
        importlib.import_module(module)
    _time_compilation()
    return numba


class _Stopwatch:
    """Wall time in which any thread compiles, or reads compiled code; what happens within is counted once."""

    def __init__(self) -> None:
        self._lock, self._depth, self._since, self.seconds = threading.Lock(), 0, 0.0, 0.0

    def __enter__(self) -> None:
        with self._lock:
            self._since = time.perf_counter() if self._depth == 0 else self._since
            self._depth += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._depth -= 1
            self.seconds += time.perf_counter() - self._since if self._depth == 0 else 0.0


_stopwatch = _Stopwatch()


def compilation_seconds() -> float:
    """Wall time that this process has spent so far on compiling, and on reading compiled code [s]."""
    return _stopwatch.seconds


def _time_compilation() -> None:
    from numba.core import event

    class Timer(event.Listener):
        def on_start(self, _event: object) -> None:
            _stopwatch.__enter__()

        def on_end(self, _event: object) -> None:
            _stopwatch.__exit__()

    event.register("numba:compile", Timer())


def _take_features(features: str | None) -> None:
    """Another library that used Numba first has made the code generator without them, and sums would round otherwise.

    What that library has compiled stays as it is.
    """
    from numba.core.codegen import JITCPUCodegen
    from numba.core.registry import cpu_target

    context = cpu_target.target_context
    if features is not None and context.codegen().magic_tuple()[-1] != features:
        context._internal_codegen = JITCPUCodegen("numba.exec")


def _has(wanted: Any, given: Any) -> bool:
    """Whether a type of Numba is another one, or a tuple with it."""
    return given == wanted or any(_has(wanted, part) for part in getattr(given, "types", ()))


@cache
def _loop_compiler():
    """Numba's compiler with arguments that share no memory (C's `restrict`), an option that its decorators lack.

    Without it, LLVM compares the addresses of all pairs of rows each time a loop starts, hundreds of them, which takes
    as long as a short row.
    """
    from numba.core.compiler import Compiler

    class LoopCompiler(Compiler):
        def define_pipelines(self):
            self.state.flags.noalias = True
            return super().define_pipelines()

    return LoopCompiler


@cache
def _kernel_compiler():
    """Numba's compiler with one more pass: float literals become float32 where an argument is float32."""
    import numpy as np
    from numba.core import ir, types
    from numba.core.compiler import CompilerBase, DefaultPassBuilder
    from numba.core.compiler_machinery import FunctionPass, register_pass
    from numba.core.untyped_passes import IRProcessing

    @register_pass(mutates_CFG=False, analysis_only=False)
    class LiteralPrecision(FunctionPass):
        _name = "hydrocli_literal_precision"

        def __init__(self) -> None:
            FunctionPass.__init__(self)

        def run_pass(self, state) -> bool:
            if not any(_has(types.float32, argument) for argument in state.args):
                return False
            for block in state.func_ir.blocks.values():
                for statement in block.find_insts(ir.Assign):
                    literal = statement.value
                    if not isinstance(literal, ir.Const | ir.Global | ir.FreeVar):
                        continue
                    if type(literal.value) is float:
                        statement.value = ir.Const(np.float32(literal.value), literal.loc)
                    elif type(literal.value) is tuple and {type(part) for part in literal.value} == {float}:
                        statement.value = ir.Const(tuple(map(np.float32, literal.value)), literal.loc)
            return True

    class KernelCompiler(CompilerBase):
        def define_pipelines(self):
            pipeline = DefaultPassBuilder.define_nopython_pipeline(self.state)
            pipeline.add_pass_after(LiteralPrecision, IRProcessing)
            pipeline.finalize()
            return [pipeline]

    return KernelCompiler


_LOCK = threading.RLock()
"""Threads that call a function for the first time make one object of Numba between them, so that it compiles once."""


class Compiled:
    """A function that is compiled when it is first called, so that importing a module never loads Numba.

    Compiled functions that name it call its `callee` (see `_numba`).

    Attributes:
        py_func: the Python function.
        flags: options of Numba's decorator.
        cached: whether compiled code is kept between processes.
        targetoptions: `inline`, where the function is copied into its callers before these are compiled.
    """

    def __init__(self, function: Callable[..., Any], cached: bool, **flags: Any) -> None:
        self.py_func, self.cached, self.flags = function, cached, FLAGS | flags
        self.targetoptions = {key: flags[key] for key in flags if key == "inline"}  # where Numba looks for it
        self.__doc__, self.__name__, self.__module__ = function.__doc__, function.__name__, function.__module__
        self._dispatcher: Any = None
        self._callee: Any = None

    @property
    def dispatcher(self) -> Any:
        """Numba's own object, for calls from Python."""
        if self._dispatcher is None:
            with _LOCK:
                if self._dispatcher is None:
                    compiled = self._compile()
                    if self.cached:
                        compiled._cache = _forgiving_cache()(self.py_func)
                    self._dispatcher = compiled
        return self._dispatcher

    @property
    def callee(self) -> Any:
        """Numba's own object, for calls from compiled code: without what Python needs, which takes long to compile."""
        if self._callee is None:
            with _LOCK:
                self._callee = self._callee or self._compile(no_cpython_wrapper=True, no_cfunc_wrapper=True)
        return self._callee

    def _compile(self, **more: Any) -> Any:
        flags = self.flags | more
        flags["pipeline_class"] = _kernel_compiler() if flags.get("forceinline") else _loop_compiler()
        return _numba().njit(self.py_func, **flags)

    def for_arguments(self, *arguments: Any) -> Callable[..., Any]:
        """See `compiled_for`."""
        types = tuple(self.dispatcher.typeof_pyval(one) for one in arguments)
        return self.dispatcher.compile(types)

    def __call__(self, *arguments: Any) -> Any:
        """Call it; the first call with arguments of new types compiles, or finds the code in the cache."""
        return self.dispatcher(*arguments)


def kernel(function: Function) -> Function:
    """Compile a scalar function of one cell and one step, always inlined, with literals of its arguments' precision."""
    return Compiled(function, cached=False, forceinline=True)  # type: ignore[return-value]


def loop(function: Function) -> Function:
    """Compile a function of arrays; compiled code is kept between processes, a damaged cache is compiled again.

    No two array arguments may share memory that the function writes: the compiler takes it for granted.
    """
    return Compiled(function, cached=True)  # type: ignore[return-value]


def compiled_for(function: Callable[..., Any], *arguments: Any) -> Callable[..., Any]:
    """What a call of a compiled function with arguments of these types runs; it must get no arguments of other types.

    For a function that is called often: to look at the types of forty arrays takes 20 microseconds, to pass them 2.
    """
    return function.for_arguments(*arguments)  # type: ignore[attr-defined]


def exact(function: Function) -> Function:
    """Compile a function of arrays whose results are those of the interpreted function, bit by bit, on every CPU."""
    return Compiled(function, cached=True, fastmath=False)  # type: ignore[return-value]


def reduction(function: Function) -> Function:
    """Compile a sum over cells; its terms may be added in another, but always the same, order: else it is not SIMD."""
    return Compiled(function, cached=False, fastmath=FLAGS["fastmath"] | {"reassoc"})  # type: ignore[return-value]


def bind(template: Callable[..., Any], name: str, *, inlined: bool = False, **parts: Any) -> Any:
    """A compiled copy of `template` in which the globals named by `parts` are these parts.

    Numba does not find in its cache a function that receives other functions or closes over them. It does find one
    whose globals are other functions, and the folder of the cache is named by a hash of all compiled sources, so a
    global never goes stale. The copy has a name of its own, under which its code is kept.

    Args:
        template: a plain function, or a compiled one, whose Python function is taken.
        name: what the copy is for, unique among the copies of the template.
        inlined: compile it as a `kernel`; otherwise as a `loop`.
        parts: values of globals.
    """
    template = getattr(template, "py_func", template)
    unknown = parts.keys() - set(template.__code__.co_names)
    assert not unknown, f"{template.__name__} has no {unknown}"
    copy = FunctionType(template.__code__, template.__globals__ | parts, template.__name__)
    copy.__module__, copy.__doc__ = template.__module__, template.__doc__
    copy.__qualname__ = copy.__name__ = f"{template.__name__}_{name}"
    return kernel(copy) if inlined else loop(copy)


@cache
def _forgiving_cache():
    """Numba's cache; a damaged file counts as absent (Numba would raise EOFError for ever), a full disk as no cache."""
    from numba.core.caching import FunctionCache

    class ForgivingCache(FunctionCache):
        def load_overload(self, sig, target_context):
            try:
                with _stopwatch:
                    return super().load_overload(sig, target_context)
            except Exception:  # whatever a torn pickle raises: the remedy is the same
                with contextlib.suppress(OSError):
                    self.flush()
                return None

        def save_overload(self, sig, data):
            with contextlib.suppress(OSError):
                super().save_overload(sig, data)

    return ForgivingCache


@cache
def unrolled(item: str, count: int, arguments: str = "rows, c") -> Any:
    """A compiled function that gives a tuple of `count` items, so that a loop serves any number of rows.

    Numba has no tuple comprehension, and a loop over the rows of a tuple is not SIMD.

    Args:
        item: expression with `{i}` for the number of the item; with an assignment, the function gives nothing.
        count: number of items.
        arguments: names of the arguments that the expression uses.
    """
    items = [item.format(i=number) for number in range(count)]
    if "=" in item:
        body = "\n    ".join(items or ["pass"])
    else:
        body = f"return ({''.join(f'{one}, ' for one in items)})"
    return _written(body, arguments)


@cache
def expression(text: str, arguments: str) -> Any:
    """A compiled function of one expression."""
    return _written(f"return {text}", arguments)


def _written(body: str, arguments: str) -> Compiled:
    """A function from its text, copied into its callers: compiled on its own, each would take a tenth of a second."""
    scope: dict[str, Any] = {}
    exec(f"def function({arguments}):\n    {body}\n", scope)
    return Compiled(scope["function"], cached=False, inline="always")


def implemented_by(module: str) -> None:
    """Import `module`, which holds what Numba compiles in place of Python functions, once Numba is loaded."""
    _implementations.append(module)
    if _numba.cache_info().currsize:
        importlib.import_module(module)


_implementations: list[str] = []


def by_precision(function: Function, double: Function, single: Function) -> None:
    """Compiled calls of `function` become `double` or `single` by the type of the first argument, inlined.

    Interpreted, `function` stays what it is: plain NumPy, which also takes complex numbers.
    """
    from numba.core import types
    from numba.extending import overload

    def choose(x, *others):
        return {types.float64: double, types.float32: single}.get(x)

    options: Any = {**FLAGS, "forceinline": True}
    overload(function, jit_options=options, strict=False)(choose)
