"""Compiled code: one version of each function, none out of date, and numpy's numbers."""

import importlib
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest
from numba.core.caching import NullCache
from numba.core.registry import CPUDispatcher

import tasks.features
from models.errors import UsageError
from tasks.features.engine import fill
from tasks.features.indicators.entry import Feature, Indicator
from tasks.features.kernels import machine
from tasks.features.kernels.elementwise import ratio
from tasks.features.kernels.recursive import smoothed
from tasks.features.kernels.windows import rolling_mean, rolling_products
from tests.features.edges import halted
from tests.features.panels import BAR, generated_bars, panel_of


def compiled_modules() -> list[ModuleType]:
    found = pkgutil.walk_packages(tasks.features.__path__, "tasks.features.")
    modules = [importlib.import_module(module.name) for module in found]
    return [m for m in modules if any(isinstance(v, CPUDispatcher) for v in vars(m).values())]


def dispatchers(module: ModuleType) -> list[CPUDispatcher]:
    """The compiled functions that a module defines."""
    values = vars(module).values()
    return [v for v in values if isinstance(v, CPUDispatcher) and v.__module__ == module.__name__]


ALL = [function for module in compiled_modules() for function in dispatchers(module)]


def named_in(function: CPUDispatcher) -> Iterator[CPUDispatcher]:
    """The compiled functions that one names."""
    code, known = function.py_func.__code__, function.py_func.__globals__
    cells = function.py_func.__closure__ or ()
    values = [known.get(name) for name in code.co_names] + [cell.cell_contents for cell in cells]
    return (value for value in values if isinstance(value, CPUDispatcher))


def is_kept_on_disk(function: CPUDispatcher) -> bool:
    return not isinstance(function._cache, NullCache)


def files_of(function: CPUDispatcher) -> set[str]:
    """The modules whose code is in what numba keeps of a function."""
    files, seen, left = set(), set(), [function]
    while left:
        one = left.pop()
        if one not in seen:
            seen.add(one)
            files.add(one.__module__)
            left += named_in(one)
    return files


def test_all_that_is_compiled_is_found():
    names = {function.py_func.__name__ for function in ALL}
    assert names >= {"run", "_kernel", "write_windows", "_smooth_four", "first_touches", "robust"}
    assert len(ALL) > 40


@pytest.mark.parametrize("function", ALL, ids=lambda f: f"{f.__module__}.{f.py_func.__name__}")
def test_what_is_kept_on_disk_notices_a_change_in_every_file_that_it_is_made_of(function):
    """numba looks at the file of a function, and at what it encloses, and at nothing else."""
    if function is machine.run:
        enclosed = [cell.cell_contents for cell in function.py_func.__closure__]
        assert machine._sources() in enclosed
        assert all(name.startswith("tasks.features.kernels.") for name in files_of(function))
    elif is_kept_on_disk(function):
        assert files_of(function) == {function.__module__}


def test_the_digest_of_the_machine_is_that_of_its_folders_files(tmp_path, monkeypatch):
    before = machine._sources()
    for name in ("windows.py", "machine.py"):
        (tmp_path / name).write_text("")
    monkeypatch.setattr(machine, "__file__", str(tmp_path / "machine.py"))
    assert machine._sources() != before
    (tmp_path / "windows.py").write_text("changed")
    after = machine._sources()
    (tmp_path / "windows.py").write_text("changed again")
    assert len({before, after, machine._sources()}) == 3


ONE_OF_EACH = """
import numpy as np
from tests.features.contract import days_of
from tasks.features.engine import fill
from tasks.features.indicators.columns import Columns
from tests.features.panels import SESSIONS, generated_bars, panel_of
from tests.features.registry import every_feature
from tests.features.test_compiled import ALL
features = every_feature()
bars = generated_bars(300, 22)
panel = panel_of(AAA=bars, BBB=generated_bars(50, 23))
holed = panel.with_columns(close=panel["close"].shift(1))
for other in (panel, holed, panel[::2], panel.head(1), panel.rechunk()):
    for kind in (np.float32, np.float64):
        fill(other, features, np.empty((len(features), other.height), kind), SESSIONS)
columns = Columns(bars | days_of(bars))
with np.errstate(all="ignore"):
    for feature in features:
        columns.scale_free(feature)
known = {f.__module__ + "." + f.py_func.__name__: len(f.signatures) for f in ALL}
assert known["tasks.features.kernels.machine.run"] == 1
assert known["tasks.features.kernels.windows.write_windows"] == 1
print([name for name, count in known.items() if count > 1])
"""


def test_each_compiled_function_is_compiled_for_one_signature():
    """Whatever the columns are: of one piece or several, with nulls or without, wide or narrow.

    In a process of its own, where no other test has called one otherwise.
    """
    command = [sys.executable, "-W", "error", "-c", ONE_OF_EACH]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


# Column by column as numpy does it, with numbers on either side.
ARITHMETIC = [
    lambda x, y: x + y,
    lambda x, y: x - y,
    lambda x, y: x * y,
    lambda x, y: x / y,
    lambda x, y: -x,
    lambda x, y: x + 3.5,
    lambda x, y: 3.5 + x,
    lambda x, y: x - 3.5,
    lambda x, y: 3.5 - x,
    lambda x, y: x * 3,
    lambda x, y: 3 * x,
    lambda x, y: x / 7.0,
    lambda x, y: 7.0 / x,
    lambda x, y: x**2,
    lambda x, y: x**1.5,
    lambda x, y: np.abs(x) ** 0.5,
    lambda x, y: np.maximum(x, y),
    lambda x, y: np.minimum(x, y),
    lambda x, y: np.maximum(x, 0.25),
    lambda x, y: np.minimum(0.25, x),
    lambda x, y: np.maximum(-x, 0.0) + np.maximum(0.0, x),
    lambda x, y: np.sqrt(y),
    lambda x, y: np.abs(x),
    lambda x, y: np.sign(x),
    lambda x, y: np.sin(x),
    lambda x, y: np.cos(x),
    lambda x, y: (x > y) * 1.0,
    lambda x, y: (x >= y) * 1.0,
    lambda x, y: (x < y) * 1.0,
    lambda x, y: (x <= y) * 1.0,
    lambda x, y: (x == y) * 1.0,
    lambda x, y: (x > 0.0) + 0.0 * x,
    lambda x, y: (x < 0.0) + 0.0 * x,
    lambda x, y: (x < 0.0) * 1.0,
    lambda x, y: (x == 0.0) * 1.0,
    lambda x, y: np.where(x > y, x, y),
    lambda x, y: np.where((x > 0.0) & (y > 80.0), x, 1.0),
    lambda x, y: np.where(x > 0.0, 2.0, 0.0 * y),
    lambda x, y: (x + y) / (x - y) + (x + y) * (x - y),
]


@pytest.mark.parametrize("place", range(len(ARITHMETIC)))
def test_arithmetic_on_nodes_is_that_of_numpy(place):
    """`joined` runs the machine, without it numpy itself is called."""
    bars = {name: column.copy() for name, column in halted().items()}
    for name, row in zip(BAR, (5, 50, 51, 100, 300), strict=True):
        bars[name][row] = np.nan
    panel = panel_of(AAA=bars, BBB=generated_bars(300, 5))
    # A change may be negative, 0 or masked.
    entry = Indicator("trend", ARITHMETIC[place], ("change", "high"), (), lambda: 0, joined=True)
    made = np.empty((2, panel.height))
    for row, own in enumerate((entry, replace(entry, joined=False))):
        fill(panel, [Feature("made", own, ())], made[row : row + 1])
    # The powers of numpy are not the same to the bit on every processor.
    np.testing.assert_allclose(*made, rtol=1e-14)
    assert np.isfinite(made).any()


@pytest.mark.parametrize(
    "function",
    [
        lambda x: np.cumsum(x),
        lambda x: np.mean(x),
        lambda x: np.exp(x),
        lambda x: np.roll(x, 1),
        lambda x: np.add.accumulate(x),
        lambda x: np.asarray(x),
        lambda x: np.where(x > 0.0),
        lambda x: np.sqrt(x, where=x > 0.0),
        lambda x: x % 2.0,
        lambda x: x if x > 0.0 else -x,
        lambda x: np.full(3, x),
        lambda x: rolling_products(x, np.arange(60.0), 5)[4],
        lambda x: ratio(1.0, x),
    ],
)
def test_what_columns_of_many_symbols_cannot_do_is_refused_with_advice(function):
    with pytest.raises(UsageError, match=r"does not know; use arithmetic, .* or set joined=False"):
        made_of(generated_bars(60, 5), function)


@pytest.mark.parametrize(
    "function",
    [lambda x: x[::-1], list, float, len, lambda x: x.mean(), lambda x: rolling_mean(x, 5, 6)],
)
def test_what_is_not_even_there_fails_as_python_does(function):
    with pytest.raises((TypeError, AttributeError, ValueError)):
        made_of(generated_bars(60, 5), function)


def test_a_kernel_takes_its_numbers_whole_or_real_as_it_says():
    bars = generated_bars(60, 5)
    expected = made_of(bars, lambda x: smoothed(x, 5, 1.0))
    for period, weight in ((5, 1), (np.int64(5), np.float32(1.0)), (5.0, np.float64(1.0))):
        made = made_of(bars, lambda x, n=period, w=weight: smoothed(x, n, w))
        np.testing.assert_array_equal(made, expected)
    assert np.isfinite(expected[4:]).all()


def made_of(bars: dict[str, np.ndarray], function) -> np.ndarray:
    out = np.empty((1, bars["close"].size))
    entry = Indicator("trend", function, ("close",), (), lambda: 0, joined=True)
    fill(panel_of(AAA=bars), [Feature("made", entry, ())], out)
    return out[0]
