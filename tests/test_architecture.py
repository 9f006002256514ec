"""The shape of the package: who imports whom, how long things are, what start-up loads."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import mmsearch_django

ROOT = Path(mmsearch_django.__file__).parent
TABLE = re.search(r":name: imports\n\n(.*?)```", (ROOT.parent / "docs/architecture.md").read_text(), re.DOTALL)[1]
MODULES = [path for path in sorted(ROOT.rglob("*.py")) if path.parent.name != "migrations"]
HEAVY = {
    *("torch", "transformers", "onnxruntime", "tokenizers", "safetensors", "sentence_transformers"),
    *("huggingface_hub", "open_clip", "torchvision"),
}


def rows():
    """Which parts each part may import by its own row; parts of one row may import each other."""
    allowed = {}
    for line in TABLE.splitlines():
        parts, _, imports = line.partition(":")
        for part in parts.split():
            allowed[part] = {*imports.split(), *parts.split()}
    return allowed


def reachable(part, allowed):
    if "*" in allowed[part]:
        return set(allowed)
    found, todo = set(), [part]
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo.extend(allowed[name])
    return found


def part_of(path):
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def imported(path):
    """Every module that a file imports, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module == "mmsearch_django":
            yield from (f"mmsearch_django.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def test_every_part_has_a_row():
    parts = {part_of(path) for path in MODULES} - {"__init__"}
    assert parts <= set(rows())


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_follow_the_table(path):
    part = part_of(path)
    if part == "__init__":
        assert not list(imported(path))
        return
    allowed = reachable(part, rows())
    for name in imported(path):
        package, _, rest = name.partition(".")
        if package == "mmsearch_django" and rest:
            assert rest.split(".")[0] in allowed, f"{part} imports {name}"


def test_search_and_indexing_never_meet():
    allowed = rows()
    assert "indexing" not in reachable("search", allowed)
    assert "search" not in reachable("indexing", allowed)
    faces = {"checks", "apps", "admin", "management", "rest_framework"}
    for part in set(allowed) - faces:
        assert not faces & reachable(part, allowed)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_heavy_libraries_are_imported_by_embedders_alone_and_inside_functions(path):
    tree = ast.parse(path.read_text())
    top = {
        name.split(".")[0]
        for node in tree.body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""])
    }
    assert not top & HEAVY
    if part_of(path) != "embedders":
        assert not {name.split(".")[0] for name in imported(path)} & HEAVY
    if path not in (ROOT / "tasks.py", ROOT / "embedders/celery.py"):
        assert not {"celery", "kombu"} & {name.split(".")[0] for name in imported(path)}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_are_read_in_one_go(path):
    source = path.read_text()
    assert len(source.splitlines()) <= 300
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno - node.lineno < 60, node.name


def test_start_up_loads_nothing_heavy():
    code = (
        "import sys, django; django.setup()\n"
        "from django.core.checks import run_checks; run_checks()\n"
        f"heavy = {HEAVY | {'celery.bin', 'ir_measures'}!r} & set(sys.modules)\n"
        "sys.exit(', '.join(heavy) or 0)"
    )
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"},
        cwd=ROOT.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
