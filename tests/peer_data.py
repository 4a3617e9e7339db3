"""Fetch the data that smash carries in its wheel (Cance, Lez, flow directions of France); nothing of it is installed.

python tests/peer_data.py FOLDER
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

WHEEL = "hydro-smash==1.3.0"
INSIDE = "smash/factory/dataset/"
WANTED = ("Cance/", "Lez/", "France_flwdir.tif")


def fetch(folder: Path) -> None:
    """Download the wheel with pip and unpack its data, and only them, into a folder."""
    with tempfile.TemporaryDirectory() as scratch:
        download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
        subprocess.run([*download, "--dest", scratch, WHEEL], check=True)
        with zipfile.ZipFile(next(Path(scratch).glob("*.whl"))) as wheel:
            for name in wheel.namelist():
                inside = name.removeprefix(INSIDE)
                if name.startswith(INSIDE) and inside.startswith(WANTED) and not name.endswith((".py", "/")):
                    path = folder / inside
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(wheel.read(name))


if __name__ == "__main__":
    fetch(Path(sys.argv[1]))
