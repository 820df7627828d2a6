"""A benchmark's report as text for people."""

from collections.abc import Mapping, Sequence
from typing import Any


def render(report: Mapping[str, Any]) -> str:
    """Returns the report as tables: one row a stage, one column a measure."""
    machine = report["machine"]
    sizes = "  ".join(f"{k}={v}" for k, v in report["sizes"].items())
    lines = [
        f"{report['benchmark']}  {sizes}",
        f"{machine['cores']} cores, {machine['cpu']}, load {machine['load_average'][0]}",
    ]
    for name, result in report["results"].items():
        facts = "".join(f", {k} {v}" for k, v in result["facts"].items())
        lines += ["", f"{name}: median of {result['rounds']}{facts}"]
        lines += _table(result["medians"]) if result["medians"] else [f"  null: {result['reason']}"]
    for pair, quotients in report["ratios"].items():
        shown = quotients or {"null": "one of them is missing"}
        lines += ["", f"{pair}:  " + "  ".join(f"{k} {v}" for k, v in shown.items())]
    for name, excess in report.get("prefect_seconds", {}).items():
        lines += ["", f"nightcast {name}: {excess} s beyond its stages (Prefect), first round"]
    return "\n".join(lines)


def _table(measures: Mapping[str, float | None]) -> list[str]:
    rows: dict[str, dict[str, str]] = {}
    for path, value in measures.items():
        stage, _, measure = path.rpartition(".")
        rows.setdefault(stage, {})[measure] = "null" if value is None else f"{value:,.2f}"
    whole = [f"  {measure} {value}" for measure, value in rows.pop("", {}).items()]
    columns = list(dict.fromkeys(measure for row in rows.values() for measure in row))
    cells = [["", *columns]]
    cells += [[stage, *(row.get(c, "") for c in columns)] for stage, row in rows.items()]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [*(_line(row, widths) for row in cells if columns), *whole]


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    numbers = (f"{c:>{w}}" for c, w in zip(row[1:], widths[1:], strict=True))
    return "  ".join(["  " + row[0].ljust(widths[0]), *numbers])
