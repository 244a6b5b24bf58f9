"""The result as tables: for the terminal, and for the page."""

import re
from dataclasses import dataclass

TITLES = {"time": "Time", "rss": "Peak RSS"}
UNITS = {
    "ns": [(1, "ns"), (1e3, "µs"), (1e6, "ms"), (1e9, "s")],
    "bytes": [(2**20, "MiB"), (2**30, "GiB")],
    "": [(1, "")],
}


# How many pauses of the collector took 2^N ns, to twice as much: figures that are a histogram.
PAUSES = re.compile(r"log2_ns_(\d+)$")


@dataclass
class Table:
    title: str
    note: str
    header: list[str]
    rows: list[list[str]]


def amount(what: str, value: float) -> str:
    """A time in ns or a memory in bytes, for reading."""
    if what == "time":
        return f"{value / 1e9:.2f} s" if value >= 1e9 else f"{value / 1e6:.1f} ms"
    return f"{value / 2**20:.1f} MiB"


def shown(unit: str, value: float) -> str:
    """A value of a curve, in the unit that leaves no more than three digits before the point."""
    sizes = [size for size in UNITS[unit] if value >= 0.97 * size[0]] or UNITS[unit][:1]
    factor, name = sizes[-1]
    return f"{value / factor:.3g} {name}".rstrip()


def _curve(curve: dict) -> Table:
    columns = []
    for name, line in curve["lines"].items():
        steps = zip(line["values"], curve["labels"])
        steps = [(at["exponent"], to) for at, to in steps if at and at["exponent"] is not None]
        columns.append(
            [
                name,
                *(
                    f"{shown(curve['unit'], at['value'])} ({at['growth']:.2f})" if at else "failed"
                    for at in line["values"]
                ),
                "-" if line["exponent"] is None else f"{line['exponent']:.2f}",
                "{:.2f} to {}".format(*max(steps)) if steps else "-",
            ]
        )
    header, *rows = zip(["", *curve["labels"], "exponent", "steepest"], *columns)
    title = f"{curve['series']}: {curve['figure']}"
    return Table(title, "median; in brackets, against the first", list(header), [*map(list, rows)])


def _absent(result: dict, workload: str, name: str) -> str:
    """Why there is no figure."""
    failed = any(f["workload"] == workload and f["allocator"] == name for f in result["failures"])
    return "failed" if failed else "-"


def _row(result: dict, workload: str, under: dict, show) -> list[str]:
    """A cell for each allocator."""
    names = [a["name"] for a in result["allocators"]]
    return [show(under[a]) if a in under else _absent(result, workload, a) for a in names]


def _mean_rows(label: str, names: list[str], means: dict) -> list[list[str]]:
    def cells(end: str) -> list[str]:
        return [f"{means[a][end]:.3f}" if a in means else "-" for a in names]

    return [
        [label, *cells("value"), ""],
        ["  from", *cells("low"), "95 % interval"],
        ["  to", *cells("high"), ""],
    ]


def partial(means: dict) -> dict[str, str]:
    """Of allocators that have only some of the workloads: how many, in words."""
    counts = {name: mean["workloads"] for name, mean in means.items()}
    most = max(counts.values())
    return {name: f"{n} of {most}" for name, n in counts.items() if n < most}


def _ratios(result: dict, what: str) -> Table:
    summary = result["summary"]
    names = [a["name"] for a in result["allocators"]]
    rows = []
    for workload, entry in summary["workloads"].items():
        under, base = entry["allocators"], entry["references"][what]
        ratios = _row(result, workload, under, lambda entry: f"{entry[what]['ratio']:.2f}")
        rows.append([workload, *ratios, f"{amount(what, under[base][what]['value'])} {base}"])
    note = f"ratio to {summary['reference']}; last, what is 1.00"
    if summary["means"]:
        means = summary["means"][what]
        rows += _mean_rows("geometric mean", names, means)
        if some := partial(means):
            counts = [str(means[a]["workloads"]) if a in means else "-" for a in names]
            rows.append(["  of workloads", *counts, ""])
            note += "".join(f"; mean of {name}: of {count}" for name, count in some.items())
    if common := summary.get("common_means"):
        count = next(iter(common[what].values()))["workloads"]
        rows += _mean_rows(f"mean of the {count} that all have", names, common[what])
    if summary["not_in_means"]:
        note += f"; not in the mean: {', '.join(summary['not_in_means'])}"
    return Table(TITLES[what], note, ["", *names, "1.00"], rows)


def _faults(result: dict) -> Table:
    names = [a["name"] for a in result["allocators"]]
    rows = []
    for workload, entry in result["summary"]["workloads"].items():
        under = entry["allocators"]
        row = _row(result, workload, under, lambda entry: f"{entry['minflt']:.0f}")
        rows.append([workload, *row])
    return Table("Page faults", "minor faults, median", ["", *names], rows)


def _system_calls(result: dict) -> Table:
    names = [a["name"] for a in result["allocators"]]
    rows = []
    for workload, under in result["system_calls"].items():
        rows.append(
            [workload, *(str(sum(under[a].values())) if a in under else "-" for a in names)]
        )
    return Table("System calls", "one run under strace", ["", *names], rows)


def _figure(figure: dict) -> str:
    """With half of its interval, if it is not that of a constant."""
    half = (figure["high"] - figure["low"]) / 2
    return f"{figure['value']:.4g}" + (f" ±{half:.2g}" if half > 0 else "")


def _figures(result: dict) -> Table:
    names = [a["name"] for a in result["allocators"]]
    rows = []
    for workload, entry in result["summary"]["workloads"].items():
        under = entry["allocators"]
        for key in next(iter(under.values()))["figures"]:
            values = [entry["figures"][key]["value"] for entry in under.values()]
            if PAUSES.match(key) and not any(values):
                continue
            row = _row(result, workload, under, lambda entry: _figure(entry["figures"][key]))
            rows.append([f"{workload} {key}", *row])
    note = "what workloads say of themselves, median and half of its 95 % interval"
    return Table("Own figures", note, ["", *names], rows)


def tables(result: dict) -> list[Table]:
    if "curves" in result["summary"]:
        return [_curve(curve) for curve in result["summary"]["curves"]]
    made = [_ratios(result, "time"), _ratios(result, "rss"), _faults(result)]
    made += [_system_calls(result), _figures(result)]
    return [table for table in made if table.rows]


def failures(result: dict) -> list[str]:
    return [f"{f['workload']} under {f['allocator']}: {f['why']}" for f in result["failures"]]


def _aligned(table: Table) -> list[str]:
    lines = [table.header, *table.rows]
    widths = [max(len(cell) for cell in column) for column in zip(*lines)]
    aligned = []
    for first, *rest in lines:
        cells = [first.ljust(widths[0]), *(c.rjust(w) for c, w in zip(rest, widths[1:]))]
        aligned.append("  ".join(cells).rstrip())
    return aligned


def text(result: dict) -> str:
    lines = []
    for table in tables(result):
        lines += [f"{table.title} ({table.note})", *_aligned(table), ""]
    lines += [f"FAILED: {failure}" for failure in failures(result)]
    return "\n".join(lines).rstrip()
