"""The allocators that are compared: a name, and the library to preload; or that it is linked into
programs of its own."""

import difflib
import os
import subprocess
import sysconfig
from dataclasses import dataclass
from pathlib import Path

# Debian's files; glibc's own malloc needs none.
DEBIAN = {
    "jemalloc": ("libjemalloc.so.2", "libjemalloc2"),
    "mimalloc": ("libmimalloc.so.2", "libmimalloc2.0"),
    "tcmalloc": ("libtcmalloc_minimal.so.4", "libtcmalloc-minimal4"),
    "tbb": ("libtbbmalloc_proxy.so.2", "libtbbmalloc2"),
}
LINKED = "arenite-static"
NAMES = ["glibc", "arenite", LINKED, *DEBIAN]


class Refused(Exception):
    """Why the runner does not do what it was asked for, in one line."""


@dataclass
class Allocator:
    name: str
    library: str | None  # None: what the program has anyway
    version: str
    linked: bool = False  # not preloaded: part of the programs, of which it has only some
    no_peer: bool = False  # nothing is measured against it

    @property
    def settings(self) -> list[str]:
        return [f"LD_PRELOAD={self.library}"] if self.library else []

    @property
    def described(self) -> dict:
        return {
            "name": self.name,
            "version": self.version,
            "linked": self.linked,
            "no_peer": self.no_peer,
        }


def nearest(word: str, names: list[str]) -> str:
    return difflib.get_close_matches(word, names, n=1, cutoff=0)[0]


def _output(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def package(name: str) -> str:
    """The name and the version, if there is such a package."""
    return _output("dpkg-query", "-W", "-f", "${Package} ${Version}\n", name).split("\n")[0]


def _version(library: str) -> str:
    """The package and its version, or the file's name."""
    found = _output("dpkg-query", "-S", os.path.realpath(library)).split(":")[0]
    return package(found) or os.path.basename(library)


def _open(name: str, path: str) -> Allocator:
    if not os.path.isfile(path):
        raise Refused(f"{name}: no library {path}")
    path = os.path.abspath(path)
    return Allocator(name, path, _version(path))


def arenite(library: str | None, build: Path) -> Allocator:
    """The library given, the build's, or an installed one."""
    if library is not None:
        return _open("arenite", library)
    built = build.parent / "libarenite.so"
    if built.exists():
        return _open("arenite", str(built))
    for directory in ("/usr/local/lib", _system_directory(), "/usr/lib"):
        if os.path.exists(f"{directory}/libarenite.so"):
            return _open("arenite", f"{directory}/libarenite.so")
    raise Refused(f"arenite: no {built}, and none installed; give --arenite FILE")


def _system_directory() -> str:
    return f"/usr/lib/{sysconfig.get_config_var('MULTIARCH')}"


def _known(name: str, library: str | None, build: Path) -> Allocator:
    if name == "glibc":
        return Allocator("glibc", None, os.confstr("CS_GNU_LIBC_VERSION") or "unknown")
    if name == "arenite":
        return arenite(library, build)
    if name == LINKED:
        programs = build / "static"
        if not programs.exists():
            raise Refused(f"{name}: no {programs}")
        return Allocator(name, None, "linked into the workloads", linked=True)
    file, package = DEBIAN[name]
    path = f"{_system_directory()}/{file}"
    if not os.path.exists(path):
        raise Refused(f"{name}: no {path}; apt-get install {package}")
    return _open(name, path)


def find(words: list[str], library: str | None, build: Path) -> tuple[list[Allocator], list[str]]:
    """The allocators asked for: known names and NAME=FILE. None asked for: all that are here, and
    why the others are not. A NAME=FILE of a known name replaces it; others are added to the known
    ones if no known name was asked for."""
    chosen: dict[str, Allocator] = {}
    absent = []
    given = dict(word.split("=", 1) for word in words if "=" in word)
    if LINKED in given:
        raise Refused(f"{LINKED} is part of the programs in {build / 'static'}: no library")
    named = [word for word in words if "=" not in word]
    for name in named:
        if name not in NAMES:
            raise Refused(
                f"unknown allocator '{name}'; the nearest is '{nearest(name, NAMES)}', "
                "and any other is given as NAME=FILE"
            )
    for name in named or NAMES:
        if name in given:
            continue
        try:
            chosen[name] = _known(name, library, build)
        except Refused as why:
            if named:
                raise
            absent.append(str(why))
    for name, path in given.items():
        chosen[name] = _open(name, path)
    return list(chosen.values()), absent
