"""A program on a disk that is watched, or fails: the preloaded tools/disk.c, driven from Python."""

from __future__ import annotations

import random
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_name("tools") / "disk.c"
SECTOR = 512


def preload(folder: Path) -> str:
    """The library, built in `folder`; skips the test where there is no C compiler."""
    if not shutil.which("gcc"):
        pytest.skip("gcc is not installed")
    library = folder / "disk.so"
    words = ["gcc", "-O1", "-shared", "-fPIC", "-o", str(library), str(SOURCE), "-ldl", "-lpthread"]
    subprocess.run(words, check=True, capture_output=True)
    return str(library)


@dataclass(frozen=True, slots=True)
class Step:
    """w(rite) t(runcate) s(ync) d(elete) a(cknowledge)."""

    kind: str
    name: str
    where: int
    data: bytes


def steps(log: Path) -> Iterator[Step]:
    octets = log.read_bytes()
    position = 0
    while position < len(octets):
        end = octets.index(b"\n", position)
        kind, name, where, length = octets[position:end].decode().split(" ")
        position = end + 1 + int(length)
        yield Step(kind, name, int(where), octets[end + 1 : position])


class Images:
    """What a power cut may leave, at moments that only grow.

    What was synced is there. Of what was written since, each write is there, or not, or torn at a
    sector.
    """

    def __init__(self, log: list[Step], chance: random.Random) -> None:
        self._log = log
        self._chance = chance
        self._position = 0
        self._safe: dict[str, bytearray] = {}
        self._pending: dict[str, list[Step]] = {}
        self.acknowledged: list[bytes] = []

    def at(self, moment: int, folder: Path) -> None:
        """Write the files as they might be just before step `moment`."""
        for step in self._log[self._position : moment]:
            self._go(step)
        self._position = moment
        files = {name: bytearray(octets) for name, octets in self._safe.items()}
        for name, pending in self._pending.items():
            for step in pending:
                fate = self._chance.random()
                if fate < 0.45:
                    _apply(files.setdefault(name, bytearray()), step, len(step.data))
                elif fate < 0.55 and len(step.data) > SECTOR:
                    kept = SECTOR * self._chance.randrange(1, len(step.data) // SECTOR + 1)
                    _apply(files.setdefault(name, bytearray()), step, kept)
        for name, octets in files.items():
            (folder / name).write_bytes(octets)

    def _go(self, step: Step) -> None:
        if step.kind == "a":
            self.acknowledged.append(step.data)
        elif step.kind == "s":
            for pending in self._pending.pop(step.name, []):
                safe = self._safe.setdefault(step.name, bytearray())
                _apply(safe, pending, len(pending.data))
        elif step.kind == "d":
            self._safe.pop(step.name, None)
            self._pending.pop(step.name, None)
        else:
            self._pending.setdefault(step.name, []).append(step)


def _apply(octets: bytearray, step: Step, length: int) -> None:
    if step.kind == "t":
        del octets[step.where :]
        return
    if len(octets) < step.where + length:
        octets.extend(bytes(step.where + length - len(octets)))
    octets[step.where : step.where + length] = step.data[:length]
