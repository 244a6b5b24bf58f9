"""What the single runs amount to: medians, ratios and means, with 95 % intervals by bootstrap."""

import numpy as np
from scipy import stats

# What is compared, and its name in the result.
COMPARED = {"time": "wall_ns", "rss": "maxrss_bytes"}
# What is only told, as a median.
TOLD = ["user_ns", "sys_ns", "minflt", "majflt"]

RESAMPLES = 2000
SEED = 1  # the same runs give the same intervals


def _interval(samples: list[np.ndarray], statistic) -> dict:
    """The statistic of samples whose n-th elements are of one round, and its interval."""
    value = float(statistic(*samples, axis=-1))
    if len(samples[0]) < 2 or all(np.ptp(sample) == 0 for sample in samples):
        return {"value": value, "low": value, "high": value}
    # Percentiles, since the median of few samples is not smooth enough for BCa.
    interval = stats.bootstrap(
        samples,
        statistic,
        paired=True,
        vectorized=True,
        n_resamples=RESAMPLES,
        method="percentile",
        random_state=SEED,
    ).confidence_interval
    return {"value": value, "low": float(interval.low), "high": float(interval.high)}


def _geometric_mean_of_ratios(*samples, axis):
    """The first half of the samples against the second, workload by workload."""
    logs = [np.log(np.median(sample, axis=axis)) for sample in samples]
    half = len(logs) // 2
    return np.exp((sum(logs[:half]) - sum(logs[half:])) / half)


class _Runs:
    """The runs, by workload and allocator, in the order of the rounds."""

    def __init__(self, result: dict):
        self.runs: dict[tuple[str, str], list[dict]] = {}
        for run in result["runs"]:
            self.runs.setdefault((run["workload"], run["allocator"]), []).append(run)

    def of(self, workload: str, allocator: str, key: str) -> np.ndarray:
        return np.array([run[key] for run in self.runs[workload, allocator]], dtype=float)

    def printed(self, workload: str, allocator: str, key: str) -> np.ndarray:
        runs = self.runs[workload, allocator]
        return np.array([run["figures"][key] for run in runs], dtype=float)

    def keys(self, workload: str, allocator: str) -> list[str]:
        """Of what the workload printed."""
        return list(self.runs[workload, allocator][0]["figures"])


def _best(runs: _Runs, workload: str, peers: list[str], key: str) -> str:
    return min(peers, key=lambda peer: np.median(runs.of(workload, peer, key)))


def _one(runs: _Runs, workload: str, allocator: str, references: dict[str, str]) -> dict:
    """One workload under one allocator."""
    row = {key: float(np.median(runs.of(workload, allocator, key))) for key in TOLD}
    row["figures"] = {
        key: _interval([runs.printed(workload, allocator, key)], np.median)
        for key in runs.keys(workload, allocator)
    }
    for what, key in COMPARED.items():
        own = runs.of(workload, allocator, key)
        base = runs.of(workload, references[what], key)
        row[what] = {
            **_interval([own], np.median),
            "ratio": float(np.median(own) / np.median(base)),
            "paired": {
                "ratios": (own / base).tolist(),
                **_interval([own / base], np.median),
            },
        }
    return row


def _applies(workload: dict, allocator: dict) -> bool:
    """One that is linked has only the workloads that it is linked into; a manager of objects, those that
    it has a program of."""
    if workload.get("has") is not None:
        return allocator["name"] in workload["has"]
    return not allocator.get("linked") or workload.get("linked") is not None


def _means(runs: _Runs, workloads: dict, had: dict[str, list[str]]) -> dict:
    """For time and memory, of each allocator over the workloads that it has."""
    means = {}
    for what, key in COMPARED.items():
        means[what] = {}
        for allocator, names in had.items():
            own = [runs.of(w, allocator, key) for w in names]
            base = [runs.of(w, workloads[w]["references"][what], key) for w in names]
            mean = _interval(own + base, _geometric_mean_of_ratios)
            means[what][allocator] = {**mean, "workloads": len(names)}
    return means


def summarize(result: dict, reference: str | None) -> dict:
    """Against `reference`, or against the best peer of each workload: any but arenite's, and floors."""
    no_peers = [
        a["name"]
        for a in result["allocators"]
        if a["name"] == "arenite" or a.get("linked") or a.get("no_peer")
    ]
    is_objects = result["settings"].get("objects") is not None
    runs = _Runs(result)
    failed = {(f["workload"], f["allocator"]) for f in result["failures"]}
    workloads, complete = {}, {}
    for entry in result["workloads"]:
        workload = entry["name"]
        applying = [a["name"] for a in result["allocators"] if _applies(entry, a)]
        well = [a for a in applying if (workload, a) in runs.runs and (workload, a) not in failed]
        peers = [a for a in well if a not in no_peers] or well
        if reference is not None:
            peers = [a for a in well if a == reference]
        if not peers:
            continue
        references = {w: _best(runs, workload, peers, key) for w, key in COMPARED.items()}
        workloads[workload] = {
            "references": references,
            "allocators": {a: _one(runs, workload, a, references) for a in well},
        }
        # Managers of objects have so different workloads that no mean would say anything.
        if well == applying and not is_objects:
            complete[workload] = applying
    had = {
        a["name"]: [w for w, applying in complete.items() if a["name"] in applying]
        for a in result["allocators"]
    }
    had = {allocator: names for allocator, names in had.items() if names}
    common = [w for w, applying in complete.items() if set(had) <= set(applying)]
    return {
        "reference": reference or "best peer",
        "workloads": workloads,
        "means": _means(runs, workloads, had) if had else {},
        # Where some have only some of the workloads: of those that all have.
        "common_means": _means(runs, workloads, {a: common for a in had})
        if 0 < len(common) < len(complete)
        else {},
        "not_in_means": [
            w["name"]
            for w in result["workloads"]
            if w["name"] not in complete and not is_objects
        ],
    }
