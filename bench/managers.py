"""The managers of objects that --objects compares: their programs, and whether they are here."""

import os
import platform
from pathlib import Path

import allocators
from allocators import Allocator, Refused, nearest

# The suffix of the programs, the package that it is of (or what else it is), and whether it is no peer:
# arenite itself, or a floor, which a program writes for itself, without types, checks and a collector.
KNOWN = {
    "arenite": ("arenite", "the objects of this build", True),
    "arenite-shared": ("arenite-shared", "the same, shared from birth", True),
    "libgc": ("libgc", "libgc1", False),
    "cpython": (None, f"CPython {platform.python_version()}", False),
    "make_shared": ("make_shared", "libstdc++6", False),
    "grcbox": ("grcbox", "libglib2.0-0", False),
    "garcbox": ("garcbox", "libglib2.0-0", False),
    "plain-glibc": ("plain", "a count in the node, over glibc's malloc", True),
    "plain-arenite": ("plain", "the same over arenite's, preloaded", True),
    "atomic-glibc": ("atomic", "an atomic count in the node, over glibc's malloc", True),
    "atomic-arenite": ("atomic", "the same over arenite's, preloaded", True),
}
PACKAGES = {"libgc": "libgc-dev", "grcbox": "libglib2.0-dev", "garcbox": "libglib2.0-dev"}
PYTHON = ["/usr/bin/python3", "-sSB"]


def _known(name: str, arenite: str | None, build: Path) -> Allocator:
    suffix, version, no_peer = KNOWN[name]
    if suffix is not None and not any((build / "objects").glob(f"*.{suffix}")):
        package = PACKAGES.get(name)
        more = f"; apt-get install {package}, and configure again" if package else ""
        raise Refused(f"{name}: no {build / 'objects'}/*.{suffix}{more}")
    library = None
    if name in ("plain-arenite", "atomic-arenite"):
        library = allocators.arenite(arenite, build).library
    return Allocator(name, library, allocators.package(version) or version, no_peer=no_peer)


def find(words: list[str], arenite: str | None, build: Path) -> tuple[list[Allocator], list[str]]:
    """Those asked for, or all that are here, and why the others are not."""
    chosen, absent = [], []
    for word in words:
        if word not in KNOWN:
            raise Refused(f"unknown manager '{word}'; the nearest is '{nearest(word, [*KNOWN])}'")
    for name in words or KNOWN:
        try:
            chosen.append(_known(name, arenite, build))
        except Refused as why:
            if words:
                raise
            absent.append(str(why))
    return chosen, absent


def commands(words: list[str], has_python: bool, source: Path, build: Path) -> dict[str, list[str]]:
    """A workload's, by manager."""
    program, *arguments = words
    found = {}
    for name, (suffix, *_) in KNOWN.items():
        path = build / "objects" / f"{program}.{suffix}"
        if suffix is None and has_python:
            found[name] = [*PYTHON, str(source / "objects/cpython.py"), program, *arguments]
        elif suffix is not None and os.access(path, os.X_OK):
            found[name] = [str(path), *arguments]
    return found
