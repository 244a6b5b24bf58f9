"""The result as one HTML page that needs nothing else: plots as SVG within it, and the tables."""

import io
import re
from html import escape

import matplotlib

matplotlib.use("svg")
from matplotlib import patches, pyplot, ticker  # noqa: E402

from tables import PAUSES, TITLES, amount, failures, partial, shown, tables  # noqa: E402

matplotlib.rcParams.update(
    {
        "svg.fonttype": "none",  # text stays text
        "font.family": "sans-serif",
        "font.size": 10,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": "#e4e4e4",
        "legend.frameon": False,
    }
)

ARENITE = {"arenite": "#c8401e", "arenite-static": "#e58a4e"}
OTHERS = ["#6b7280", "#2f6db3", "#3a9a6b", "#8a5fb0", "#c79a1b", "#3aa6b9", "#a3566f", "#7a8b3a"]
NO_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; margin: 2rem auto; max-width: 66rem;
       padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.5rem; }
svg { max-width: 100%; height: auto; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 0.9rem; }
th, td { padding: 0.15rem 0.7rem; text-align: right; border-bottom: 1px solid #eee;
         white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
td.what { white-space: normal; text-align: left; }
.failed { color: #fff; background: #b3261e; padding: 0.5rem 1rem; }
.note { color: #666; }
"""


class Plots:
    def __init__(self, result: dict):
        self.result, self.summary = result, result["summary"]
        self.names = [a["name"] for a in result["allocators"]]
        others = iter(OTHERS * len(self.names))
        self.colours = {n: ARENITE.get(n) or next(others) for n in self.names}

    def _svg(self, figure, title: str) -> str:
        # The salt keeps the identifiers of one figure from meeting those of another in the page.
        with matplotlib.rc_context({"svg.hashsalt": title}):
            drawn = io.StringIO()
            figure.savefig(drawn, format="svg", bbox_inches="tight", metadata=NO_METADATA)
        pyplot.close(figure)
        svg = drawn.getvalue()
        label = f'<svg role="img" aria-label="{escape(title)}"'
        return f'<div class="wide">{re.sub("^.*?<svg", label, svg, count=1, flags=re.S)}</div>'

    def _bars(self, axis, at: list[float], entries: list[dict], names: list[str], height: float):
        """Horizontal bars with intervals; an entry has value, low and high."""
        values = [e["value"] for e in entries]
        spread = [
            [e["value"] - e["low"] for e in entries],
            [e["high"] - e["value"] for e in entries],
        ]
        axis.barh(
            at,
            values,
            height,
            xerr=[[max(0, s) for s in side] for side in spread],
            color=[self.colours[n] for n in names],
            error_kw={"ecolor": "#222", "elinewidth": 1, "capsize": 2},
        )

    def means(self) -> str:
        figure, axes = pyplot.subplots(1, 2, figsize=(10, 0.4 * len(self.names) + 1), squeeze=False)
        for axis, what in zip(axes[0], TITLES):
            entries = self.summary["means"][what]
            names = sorted(entries, key=lambda n: -entries[n]["value"])
            self._bars(axis, range(len(names)), [entries[n] for n in names], names, 0.7)
            some = partial(entries)
            labels = [f"{n}, {some[n]}" if n in some else n for n in names]
            axis.set_yticks(range(len(names)), labels)
            for y, name in enumerate(names):
                axis.text(entries[name]["high"], y, f"  {entries[name]['value']:.2f}", va="center")
            axis.axvline(1, color="#222", linewidth=0.8)
            axis.grid(axis="y", visible=False)
            axis.set_xlabel(f"{TITLES[what]}, ratio to {self.summary['reference']}")
        figure.tight_layout()
        return self._svg(figure, "Geometric means of time and peak RSS")

    def workloads(self, what: str, group: str) -> str:
        chosen = [w["name"] for w in self.result["workloads"] if w["group"] == group]
        chosen = [w for w in chosen if w in self.summary["workloads"]]
        if not chosen:
            return ""
        height = 0.8 / len(self.names)
        figure, axis = pyplot.subplots(
            figsize=(10, len(chosen) * (0.17 * len(self.names) + 0.15) + 0.9)
        )
        for nth, name in enumerate(self.names):
            at, entries = [], []
            for row, workload in enumerate(chosen):
                under = self.summary["workloads"][workload]["allocators"]
                if name in under:
                    at.append(row + (nth + 0.5) * height - 0.4)
                    entries.append(under[name][what]["paired"])
            self._bars(axis, at, entries, [name] * len(at), height)
        axis.set_yticks(range(len(chosen)), chosen)
        axis.invert_yaxis()
        axis.axvline(1, color="#222", linewidth=0.8)
        axis.grid(axis="y", visible=False)
        axis.set_xlabel(f"{TITLES[what]}, ratio to {self.summary['reference']}, round by round")
        handles = [patches.Patch(color=self.colours[n], label=n) for n in self.names]
        axis.legend(handles=handles, loc="upper left", bbox_to_anchor=(1, 1))
        return f"<h3>{escape(group)}</h3>" + self._svg(figure, f"{TITLES[what]} of {group}")

    def scatter(self) -> str:
        """Each allocator's mean, and its workloads as faint points."""
        figure, axis = pyplot.subplots(figsize=(7, 5))
        for name in self.summary["means"]["time"]:
            entries = [w["allocators"] for w in self.summary["workloads"].values()]
            points = [
                (e[name]["time"]["ratio"], e[name]["rss"]["ratio"]) for e in entries if name in e
            ]
            axis.scatter(*zip(*points), s=12, alpha=0.3, color=self.colours[name], linewidths=0)
            time, rss = (self.summary["means"][what][name] for what in TITLES)
            axis.errorbar(
                time["value"],
                rss["value"],
                xerr=[
                    [max(0, time["value"] - time["low"])],
                    [max(0, time["high"] - time["value"])],
                ],
                yerr=[[max(0, rss["value"] - rss["low"])], [max(0, rss["high"] - rss["value"])]],
                marker="o",
                markersize=9,
                color=self.colours[name],
                label=name,
                linestyle="",
            )
        axis.set_xscale("log", base=2)
        axis.set_yscale("log", base=2)
        for side in (axis.xaxis, axis.yaxis):
            side.set_major_locator(ticker.MaxNLocator(8))
            side.set_minor_locator(ticker.NullLocator())
            side.set_major_formatter(lambda ratio, _: f"{ratio:g}")
        axis.set_xlabel(f"time, ratio to {self.summary['reference']} (less is better)")
        axis.set_ylabel("peak RSS, likewise")
        axis.legend(loc="upper left", bbox_to_anchor=(1, 1))
        return self._svg(figure, "Time against peak RSS")

    def pauses(self, workload: str) -> str:
        """Histograms, one below the other; nothing of a workload that prints none."""
        under = self.summary["workloads"][workload]["allocators"]
        counts = {
            name: {
                int(found[1]): figure["value"]
                for key, figure in entry["figures"].items()
                if (found := PAUSES.match(key))
            }
            for name, entry in under.items()
        }
        seen = [octave for bars in counts.values() for octave, n in bars.items() if n > 0]
        if not seen:
            return ""
        figure, axes = pyplot.subplots(
            len(counts), 1, figsize=(10, 1.6 * len(counts)), sharex=True, squeeze=False
        )
        octaves = range(min(seen), max(seen) + 1)
        for axis, (name, bars) in zip(axes.flat, counts.items()):
            axis.bar(octaves, [bars[octave] for octave in octaves], 0.9, color=self.colours[name])
            axis.set_yscale("symlog", linthresh=1)
            axis.set_ylabel(name)
        axis.set_xticks(octaves, [shown("ns", 2**octave) for octave in octaves])
        axis.set_xlabel("from, to twice as much")
        figure.tight_layout()
        title = f"{workload}: how many pauses of which length"
        return f"<h2>{escape(title)}</h2>" + self._svg(figure, title)

    def series(self, name: str) -> str:
        """The curves of a series, side by side."""
        curves = [c for c in self.summary["curves"] if c["series"] == name]
        rows = (len(curves) + 1) // 2
        figure, axes = pyplot.subplots(rows, 2, figsize=(10, 3.4 * rows), squeeze=False)
        for axis, curve in zip(axes.flat, curves):
            self._curve(axis, curve)
        for axis in axes.flat[len(curves) :]:
            axis.set_visible(False)
        axes[0][1].legend(loc="upper left", bbox_to_anchor=(1, 1))
        figure.tight_layout()
        return self._svg(figure, f"Cost against scale: {name}")

    def _curve(self, axis, curve: dict) -> None:
        unit = curve["unit"]
        for name, line in curve["lines"].items():
            points = [(x, at) for x, at in zip(curve["numbers"], line["values"]) if at]
            xs = [x for x, _ in points]
            ys, low, high = ([at[key] for _, at in points] for key in ("value", "low", "high"))
            axis.plot(xs, ys, marker="o", markersize=4, color=self.colours[name], label=name)
            axis.fill_between(xs, low, high, color=self.colours[name], alpha=0.15, linewidth=0)
        axis.set_xscale("log")
        axis.set_xticks(curve["numbers"], curve["labels"], rotation=45)
        axis.set_yscale("log")
        base = {"base": 2} if unit == "bytes" else {"subs": (1, 2, 5)}
        axis.yaxis.set_major_locator(ticker.LogLocator(**base))
        axis.yaxis.set_major_formatter(lambda y, _: shown(unit, y))
        for side in (axis.xaxis, axis.yaxis):
            side.set_minor_locator(ticker.NullLocator())
        axis.set_xlabel(curve["series"])
        axis.set_ylabel(curve["figure"])


def _table(header: list[str], rows: list[list[str]]) -> str:
    lines = ["<tr>" + "".join(f"<th>{escape(c)}</th>" for c in header) + "</tr>"]
    lines += ["<tr>" + "".join(f"<td>{escape(c)}</td>" for c in row) + "</tr>" for row in rows]
    return '<div class="wide"><table>' + "\n".join(lines) + "</table></div>"


def _intervals(result: dict) -> str:
    """Medians with their intervals, which the terminal has no room for."""
    rows = []
    for workload, entry in result["summary"]["workloads"].items():
        for name, row in entry["allocators"].items():
            cells = [workload, name]
            for what in TITLES:
                cells.append(amount(what, row[what]["value"]))
                cells.append(" – ".join(amount(what, row[what][end]) for end in ("low", "high")))
                paired = row[what]["paired"]
                cells.append(f"{paired['value']:.3f} ({paired['low']:.3f} – {paired['high']:.3f})")
            cells += [amount("time", row[key]) for key in ("user_ns", "sys_ns")]
            rows.append(cells)
    header = ["workload", "allocator", "time", "95 %", "ratio", "peak RSS", "95 %", "ratio"]
    return _table([*header, "user", "system"], rows)


def _machine(result: dict) -> str:
    machine, settings = result["machine"], result["settings"]
    rows = [
        ["processor", f"{machine['cpu']} ({machine['architecture']}), {machine['cores']} cores"],
        [
            "memory",
            f"{machine['memory_bytes'] / 2**30:.1f} GiB, pages of {machine['page_bytes']} bytes",
        ],
        ["system", f"Linux {machine['kernel']}, {machine['glibc']}"],
        ["transparent huge pages", machine["transparent_huge_pages"]],
        ["load before", f"{machine['load_before']:.2f}"],
        ["rounds", f"{settings['rounds']}, after {settings['warmup']} that do not count"],
        *([f"allocator {a['name']}", a["version"]] for a in result["allocators"]),
        *([f"set {name}", value] for name, value in result["environment"].items()),
        *(["skipped", line] for line in result["skipped"]),
    ]
    return _table(["", ""], rows)


def _comparison(result: dict) -> list[str]:
    plots, parts = Plots(result), []
    groups = dict.fromkeys(w["group"] for w in result["workloads"])
    reference = result["summary"]["reference"]
    parts.append(
        f"<p>Ratios are to {escape(reference)}: 1 is as good, less is better. Lines at the "
        "ends of bars are 95 % intervals, by bootstrap over the rounds.</p>"
    )
    if result["summary"]["means"]:
        parts += ["<h2>Geometric means</h2>", plots.means()]
        for name, count in partial(result["summary"]["means"]["time"]).items():
            parts.append(
                f'<p class="note">{escape(name)} has {count} workloads; the tables also have the '
                "means over those that all have.</p>"
            )
        if result["summary"]["not_in_means"]:
            left_out = escape(", ".join(result["summary"]["not_in_means"]))
            parts.append(f'<p class="note">Not in the means: {left_out}.</p>')
        parts += ["<h2>Time against peak RSS</h2>", plots.scatter()]
    for what, title in TITLES.items():
        parts += [f"<h2>{title}</h2>", *(plots.workloads(what, group) for group in groups)]
    parts += [plots.pauses(workload) for workload in result["summary"]["workloads"]]
    return parts + [*_tables(result), "<h2>Medians and intervals</h2>", _intervals(result)]


def _scaling(result: dict) -> list[str]:
    plots = Plots(result)
    parts = [
        "<p>Medians of the rounds, and as a band the least and the most. Both axes are "
        "logarithmic: a flat line is a cost that does not grow.</p>"
    ]
    for name in dict.fromkeys(c["series"] for c in result["summary"]["curves"]):
        what = next(w["what"] for w in result["workloads"] if w["series"] == name)
        parts += [f"<h2>{escape(name)}</h2>", f"<p>{escape(what)}</p>", plots.series(name)]
    return parts + _tables(result)


def _tables(result: dict) -> list[str]:
    parts = []
    for table in tables(result):
        parts += [
            f"<h2>{escape(table.title)}: table</h2>",
            f'<p class="note">{escape(table.note)}</p>',
        ]
        parts.append(_table(table.header, table.rows))
    return parts


def html(result: dict) -> str:
    parts = [f'<p class="failed">FAILED: {escape(f)}</p>' for f in failures(result)]
    if "curves" in result["summary"]:
        title, parts = "Cost against scale", parts + _scaling(result)
    else:
        title, parts = "Allocators compared", parts + _comparison(result)
        if result["settings"].get("objects"):
            title = "Managers of objects compared"
    title = f"{title}, {escape(result['started'][:10])}"
    parts.append("<h2>Workloads</h2>")
    rows = [[w["name"], w["what"], " ".join(w["command"])] for w in result["workloads"]]
    parts.append(_table(["name", "what", "command"], rows))
    parts += ["<h2>Machine</h2>", _machine(result)]
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{STYLE}</style></head>\n<body><h1>{title}</h1>\n"
        + "\n".join(parts)
        + "</body></html>\n"
    )
