"""Fetches the packages that the training pictures come from, into a folder; what is there already stays."""

import subprocess
import tarfile
from pathlib import Path

DEBIAN = ("openclipart-png", "openclipart-svg", "tuxpaint-stamps-default")
NPM = ("@iconify-json/noto@1.2.9", "@iconify-json/fluent-emoji@1.2.7", "emojibase-data@17.0.0")


def fetch(folder: Path) -> None:
    """``folder/debian`` and ``folder/npm/NAME`` as the packages lay them out. Needs apt-get, dpkg-deb and npm."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in DEBIAN:
        if not list(folder.glob(f"{name}_*.deb")):
            run("apt-get", "download", name, cwd=folder)
            [package] = folder.glob(f"{name}_*.deb")
            run("dpkg-deb", "--extract", package.name, "debian", cwd=folder)
    for name in NPM:
        target = folder / "npm" / plain(name)
        if not target.exists():
            run("npm", "pack", "--silent", name, cwd=folder)
            [archive] = folder.glob(f"*{plain(name)}-*.tgz")
            with tarfile.open(archive) as packed:
                packed.extractall(target, filter="data")


def plain(name: str) -> str:
    """Without scope and version."""
    return name.rpartition("/")[2].partition("@")[0]


def run(*command: str, cwd: Path) -> None:
    subprocess.run(command, cwd=cwd, check=True, stdout=subprocess.DEVNULL)
