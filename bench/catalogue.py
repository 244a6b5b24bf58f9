"""The workloads: what the lists name, and how each is run.

workloads/list.txt names C programs of this project and programs.txt those of Debian, one a line:
NAME | GROUP | COMMAND | KEYS | WHAT. The word "short" beside the group puts it in the short set.
KEYS are the figures that it prints as lines "key value", or "-". objects/list.txt is the same for
objects, but that a workload has a program for each manager.

A line of the group scale is a series: a workload for each of the numbers {N,N,...} in its command.
A number behind the group says how many bytes of memory each 1 of it needs.

A command of programs.txt runs in a scratch directory. {programs} in it is the directory programs/,
and words NAME=VALUE before it are for its environment. There, NAME.prepare makes the input, once and
untimed (status 77: cannot be run here, for the reason on stderr), and NAME.client runs beside the
measured command, without the preload, and makes it end."""

import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

import managers
from allocators import Allocator, Refused, nearest

NOTHING = "-"
SKIPPED = 77
SERIES = "scale"  # their group
MOST_OF_MEMORY = 0.6  # of what is available, for one workload


@dataclass
class Workload:
    name: str
    group: str
    marks: list[str]  # what stands beside the group
    command: list[str]
    settings: list[str]  # NAME=VALUE
    keys: list[str]  # of the lines that it prints
    what: str
    linked: list[str] | None = None  # the command of its twin, with arenite linked into it
    commands: dict[str, list[str]] | None = None  # of objects: by manager
    client: str | None = None
    directory: Path | None = None  # to run in; the programs of the project do not care
    series: str | None = None
    number: float = 0  # of the series
    memory_bytes: float = 0  # 0: not worth a look

    def under(self, allocator: Allocator) -> list[str] | None:
        """The command; None: there is no program of it for this one."""
        if self.commands is not None:
            return self.commands.get(allocator.name)
        return self.linked if allocator.linked else self.command

    def prepare(self, scratch: Path, programs: Path) -> str | None:
        """Makes the workload ready to run. Returns why it cannot be."""
        self.directory = scratch / self.name
        self.directory.mkdir()
        if shutil.which(self.command[0]) is None and not self.command[0].startswith("./"):
            return f"no program {self.command[0]}"
        available = _available_bytes()
        if self.memory_bytes > MOST_OF_MEMORY * available:
            return (
                f"needs {self.memory_bytes / 2**30:.1f} GiB, more than {MOST_OF_MEMORY:.0%} of the "
                f"{available / 2**30:.1f} GiB that are available"
            )
        script = programs / f"{self.name}.prepare"
        if self.group != "programs" or not script.exists():
            return None
        made = subprocess.run(
            ["bash", script],
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        lines = made.stderr.strip().splitlines() or [f"status {made.returncode}"]
        if made.returncode not in (0, SKIPPED):
            raise Refused(f"{script} failed: {lines[-1]}")
        return lines[-1] if made.returncode == SKIPPED else None


def _available_bytes() -> int:
    text = Path("/proc/meminfo").read_text()
    return int(re.search(r"^MemAvailable: +(\d+) kB$", text, re.M)[1]) * 1024


def _number(word: str) -> float:
    """With k, M or G behind it, as the workloads' options take it."""
    digits, unit = re.fullmatch(r"(\d+(?:\.\d+)?)([kMG]?)", word).groups()
    return float(digits) * 1024 ** " kMG".index(unit or " ")


def _points(line: Workload, unit_bytes: float) -> list[Workload]:
    """The workloads of a series, whose command has {N,N,...}."""
    found = [i for i, word in enumerate(line.command) if re.fullmatch(r"\{.+\}", word)]
    if len(found) != 1:
        raise Refused(f"{line.name}: the command of a series has {{N,N,...}}, once")
    points = []
    for word in line.command[found[0]].strip("{}").split(","):
        command = list(line.command)
        command[found[0]] = word
        points.append(
            replace(
                line,
                name=f"{line.name}_{word}",
                command=command,
                series=line.name,
                number=_number(word),
                memory_bytes=_number(word) * unit_bytes,
            )
        )
    return points


def _read(path: Path) -> list[Workload]:
    workloads = []
    for number, line in enumerate(path.read_text().splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        name, group, command, keys, what, *_ = [*(f.strip() for f in line.split("|")), "", ""]
        if not what:
            raise Refused(f"{path}:{number}: not NAME | GROUP | COMMAND | KEYS | WHAT")
        words = shlex.split(command)
        settings = []
        while re.match(r"\w+=", words[0]):
            settings.append(words.pop(0))
        group, *marks = group.split()
        keys = [] if keys == NOTHING else keys.split()
        workload = Workload(name, group, marks, words, settings, keys, what)
        if group == SERIES:
            workloads += _points(workload, sum(_number(mark) for mark in marks))
        else:
            workloads.append(workload)
    return workloads


def read(source: Path, build: Path, scale: str | None) -> list[Workload]:
    """All workloads of both lists, with their commands as they are run."""
    own, programs = [], []
    if (source / "workloads/list.txt").exists():
        own = _read(source / "workloads/list.txt")
    for workload in own:
        program, *arguments = workload.command
        if scale is not None:
            arguments += ["--scale", scale]
        workload.command = [str(build / "workloads" / program), *arguments]
        twin = build / "static" / program
        if twin.exists():
            workload.linked = [str(twin), *arguments]
    programs = _read(source / "programs.txt")
    for workload in programs:
        workload.group = "programs"
        directory = str(source / "programs")
        workload.command = [w.replace("{programs}", directory) for w in workload.command]
        client = source / "programs" / f"{workload.name}.client"
        workload.client = str(client) if client.exists() else None
    return own + programs


def read_objects(source: Path, build: Path, scale: str | None) -> list[Workload]:
    """The workloads of --objects, with a command for each manager that has them."""
    workloads = _read(source / "objects/list.txt")
    for workload in workloads:
        words = workload.command + (["--scale", scale] if scale is not None else [])
        has_python = "python" in workload.marks
        workload.commands = managers.commands(words, has_python, source, build)
        workload.command = next(iter(workload.commands.values()), words)
    return [w for w in workloads if w.commands]


def choose(workloads: list[Workload], words: str) -> list[Workload]:
    """short, full (all but series), or names and groups with commas between them."""
    if words == "full":
        return [w for w in workloads if w.series is None]
    if words == "short":
        return [w for w in workloads if "short" in w.marks]
    known = {w.name for w in workloads} | {w.group for w in workloads}
    wanted = words.split(",")
    for word in wanted:
        if word not in known:
            close = nearest(word, sorted(known | {"short", "full"}))
            raise Refused(f"unknown workload '{word}'; the nearest is '{close}'")
    return [w for w in workloads if w.name in wanted or w.group in wanted]


def choose_series(workloads: list[Workload], words: str) -> list[Workload]:
    """all, or names of series with commas between them."""
    known = list(dict.fromkeys(w.series for w in workloads if w.series is not None))
    wanted = known if words == "all" else words.split(",")
    for word in wanted:
        if word not in known:
            close = nearest(word, [*known, "all"])
            raise Refused(f"unknown series '{word}'; the nearest is '{close}'")
    return [w for w in workloads if w.series in wanted]
