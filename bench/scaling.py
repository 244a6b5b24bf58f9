"""Cost against scale: for each figure of each series a curve, with a line for each allocator."""

import numpy as np

# The units of what is not a time.
UNITS = {"peak RSS": "bytes", "RSS / live": ""}


def _figures(run: dict) -> dict[str, float]:
    printed = run["figures"]
    shown = {"time": run["wall_ns"], "peak RSS": run["maxrss_bytes"]}
    shown |= {key: value for key, value in printed.items() if key.endswith("_ns")}
    if "live_bytes" in printed and "rss_bytes" in printed:
        shown["RSS / live"] = printed["rss_bytes"] / printed["live_bytes"]
    return shown


def _slope(points: list[tuple[float, float]]) -> float | None:
    """The exponent of scale that fits best: 0 does not grow, 1 is linear."""
    if len(points) < 2:
        return None
    scales, values = np.log(points).T
    return float(np.polyfit(scales, values, 1)[0])


def _line(numbers: list[float], samples: list[list[float]]) -> dict:
    """From the samples of each number, of which there are none where a run failed."""
    points, values = [], []
    for number, rounds in zip(numbers, samples):
        if not rounds:
            values.append(None)
            continue
        points.append((number, float(np.median(rounds))))
        values.append(
            {
                "value": points[-1][1],
                "low": min(rounds),
                "high": max(rounds),
                "growth": points[-1][1] / points[0][1],
                "exponent": _slope(points[-2:]),  # since the point before
            }
        )
    return {"values": values, "exponent": _slope(points)}


class _Runs:
    """What the rounds of a workload under an allocator have to show: nothing if one failed."""

    def __init__(self, result: dict):
        failed = {(f["workload"], f["allocator"]) for f in result["failures"]}
        self.shown: dict[tuple[str, str], list[dict]] = {}
        for run in result["runs"]:
            key = run["workload"], run["allocator"]
            if key not in failed:
                self.shown.setdefault(key, []).append(_figures(run))

    def figures(self, workloads: list[str]) -> list[str]:
        """Their names: the same for all workloads of a series."""
        return next((list(runs[0]) for key, runs in self.shown.items() if key[0] in workloads), [])

    def of(self, workload: str, allocator: str, figure: str) -> list[float]:
        return [figures[figure] for figures in self.shown.get((workload, allocator), [])]


def _curves(series: str, result: dict) -> list[dict]:
    members = [w for w in result["workloads"] if w["series"] == series]
    names = [w["name"] for w in members]
    numbers = [w["number"] for w in members]
    runs = _Runs(result)
    return [
        {
            "series": series,
            "figure": figure,
            "unit": UNITS.get(figure, "ns"),
            "numbers": numbers,
            "labels": [name.removeprefix(f"{series}_") for name in names],
            "lines": {
                a["name"]: _line(numbers, [runs.of(name, a["name"], figure) for name in names])
                for a in result["allocators"]
            },
        }
        for figure in runs.figures(names)
    ]


def summarize(result: dict) -> dict:
    series = dict.fromkeys(w["series"] for w in result["workloads"])
    return {"curves": [curve for name in series for curve in _curves(name, result)]}
