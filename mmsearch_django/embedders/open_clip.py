"""Models of OpenCLIP: the CLIPs of LAION, OpenAI, Apple (DFN), MetaCLIP, and checkpoints that it trained."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL.Image import Image

from mmsearch_django.embedders import hub
from mmsearch_django.embedders.base import Embedder, Engine, Vectors
from mmsearch_django.embedders.cards import Card, Verified
from mmsearch_django.embedders.hub import Checkpoint
from mmsearch_django.embedders.torch_runtime import torch_with
from mmsearch_django.exceptions import ConfigurationError, EmbedderUnavailable
from mmsearch_django.media.images import middle

HUB = "hf-hub:"
FOLDER = "local-dir:"
FILES = ("open_clip_config.json", "open_clip_*.safetensors")
"""Repositories often have the weights in other formats as well, which are left where they are."""
EXTRAS = ("*.json", "*.txt", "*.model")
"""Tokenizers, of models that do not use CLIP's own."""
PRECISIONS = ("fp32", "fp16", "bf16", "pure_fp16", "pure_bf16")
MAX_CHARACTERS = 10_000
"""Far more than the 77 tokens that it reads; keeps a novel from being tokenised for its first lines."""


LAION = partial(Card, licence="mit", good_at="English, up to 77 tokens", verified=Verified.BY_HAND)


class OpenClipEmbedder(Embedder):
    """``MODEL``, in the words of OpenCLIP: ``hf-hub:laion/...`` at the commit ``REVISION``, which ``mmsearch_download``
    fetches; ``local-dir:/a/folder``; or a built-in name such as ``ViT-B-32``.

    ``OPTIONS``: ``dimensions`` (needed: they are known without loading), ``device`` ("cpu"), ``precision`` ("fp32",
    "fp16", "bf16", "pure_fp16", "pure_bf16"), ``batch_size`` (32), ``threads``; of built-in names ``pretrained`` (the
    tag) and ``file`` (its weights on this machine).
    """

    backend = "open_clip"
    modalities = frozenset({"text", "image"})
    libraries = ("open_clip", "torch", "torchvision")
    extra = "mmsearch-django[open-clip]"
    cards = (
        LAION(
            name="OpenCLIP, ViT-B/32 of LAION-2B",
            settings={"MODEL": "hf-hub:laion/CLIP-ViT-B-32-laion2B-s34B-b79K", "OPTIONS": {"dimensions": 512}},
            megabytes=605,
        ),
        LAION(
            name="OpenCLIP, ViT-H/14 of LAION-2B",
            settings={"MODEL": "hf-hub:laion/CLIP-ViT-H-14-laion2B-s32B-b79K", "OPTIONS": {"dimensions": 1024}},
            megabytes=3940,
        ),
    )
    known_options = frozenset({"dimensions", "device", "precision", "batch_size", "threads", "pretrained", "file"})

    def __init__(self, alias: str, **config: Any) -> None:
        super().__init__(alias, **config)
        self.precision = self.options.get("precision", PRECISIONS[0])
        if type(self.options.get("dimensions")) is not int:
            raise self._wrong(f"needs OPTIONS['dimensions'], the length of the vectors of {self.model!r}")
        if self.precision not in PRECISIONS:
            raise self._wrong(f"has OPTIONS['precision'] {self.precision!r}; give one of {', '.join(PRECISIONS)}")
        if self.model.startswith(HUB) and not hub.is_commit(self.revision):
            raise self._wrong(f"has REVISION {self.revision!r}; give a full commit (branches and tags move)")
        if self._is_built_in() != ({"pretrained", "file"} <= self.options.keys()):
            raise self._wrong(
                f"has MODEL {self.model!r}; give '{HUB}...', '{FOLDER}...', or a built-in name and both "
                "OPTIONS['pretrained'], its tag, and OPTIONS['file'], the weights of that tag on this machine"
            )

    def _is_built_in(self) -> bool:
        return not self.model.startswith((HUB, FOLDER))

    def _wrong(self, problem: str) -> ConfigurationError:
        return ConfigurationError(f"Embedder '{self.alias}' (open_clip) {problem}.")

    @property
    def dimensions(self) -> int:
        return int(self.options["dimensions"])

    @property
    def weights(self) -> str:
        """The tag and what else moves vectors."""
        precision = "" if self.precision == PRECISIONS[0] else self.precision
        return " ".join(filter(None, [self.options.get("pretrained"), precision]))

    @property
    def checkpoint(self) -> Checkpoint | None:
        if not self.model.startswith(HUB):
            return None
        return Checkpoint(self.model.removeprefix(HUB), self.revision, FILES, extras=EXTRAS)

    def load(self) -> Engine:
        self.require_available()
        torch = torch_with(self.options.get("threads"))
        try:
            import open_clip
        except (ImportError, RuntimeError) as error:
            # RuntimeError: a torchvision that was built for another torch.
            raise EmbedderUnavailable(
                f"Embedder '{self.alias}' cannot import open_clip: {error} Its torch and torchvision must be a pair, "
                "from the same index. Run: pip install --force-reinstall torch torchvision"
            ) from error
        try:
            model, transform, tokenizer = self._created(open_clip)
        except (OSError, ValueError, RuntimeError) as error:
            raise EmbedderUnavailable(
                f"Embedder '{self.alias}' cannot load {self.model!r} from this machine: {error}"
            ) from error
        dtype = open_clip.get_input_dtype(self.precision)
        device = torch.device(self.options.get("device", "cpu"))
        return OpenClipEngine(model, transform, tokenizer, device, dtype, int(self.options.get("batch_size", 32)))

    def _created(self, open_clip: Any) -> tuple[Any, Any, Any]:
        """Model, transform and tokenizer, from files of this machine alone."""
        name = f"{FOLDER}{self.checkpoint.place}" if self.checkpoint else self.model
        self._require_local(open_clip.get_model_config(name))
        settings = self._tag(open_clip) if self._is_built_in() else {}
        model, transform = open_clip.create_model_from_pretrained(
            name, precision=self.precision, device=self.options.get("device", "cpu"), **settings
        )
        return model.eval(), transform, open_clip.get_tokenizer(name)

    def _tag(self, open_clip: Any) -> dict[str, Any]:
        """What OpenCLIP knows of a tag, all but where to download it."""
        tag, file = self.options["pretrained"], Path(self.options["file"])
        known = open_clip.get_pretrained_cfg(self.model, tag)
        if not known:
            tags = ", ".join(open_clip.list_pretrained_tags_by_model(self.model)) or "none"
            raise self._wrong(f"has OPTIONS['pretrained'] {tag!r}; OpenCLIP's tags of {self.model!r} are: {tags}")
        if not file.is_file():
            raise EmbedderUnavailable(f"Embedder '{self.alias}': OPTIONS['file'], {str(file)!r}, is not there.")
        return {
            "pretrained": str(file),
            "force_quick_gelu": known.get("quick_gelu", False),
            "image_mean": known.get("mean"),
            "image_std": known.get("std"),
            "image_interpolation": known.get("interpolation"),
            "image_resize_mode": known.get("resize_mode"),
        }

    def _require_local(self, config: dict[str, Any] | None) -> None:
        """Raise ConfigurationError where OpenCLIP would ask the hub for parts of a model."""
        if config is None:
            raise self._wrong(f"has MODEL {self.model!r}, which OpenCLIP does not know")
        text = config["text_cfg"]
        if "hf_model_name" in text or (self._is_built_in() and "hf_tokenizer_name" in text):
            raise self._wrong(
                f"cannot run {self.model!r}: OpenCLIP fetches its text model or its tokenizer from the hub whenever it "
                f"is loaded. Take its repository there, '{HUB}...', or the sentence-transformers backend"
            )


class OpenClipEngine:
    def __init__(self, model: Any, transform: Any, tokenizer: Any, device: Any, dtype: Any, batch_size: int) -> None:
        self.model, self.transform, self.tokenizer = model, transform, tokenizer
        self.device, self.dtype, self.batch_size = device, dtype, batch_size

    def texts(self, texts: Sequence[str], *, query: bool) -> Vectors:
        short = [text[:MAX_CHARACTERS] for text in texts]
        return self._run(self.model.encode_text, (self.tokenizer(part) for part in self._parts(short)))

    def images(self, images: Sequence[Image]) -> Vectors:
        import torch

        batches = (torch.stack([self.transform(middle(image)) for image in part]) for part in self._parts(images))
        return self._run(self.model.encode_image, (batch.to(dtype=self.dtype) for batch in batches))

    def _run(self, encode: Any, batches: Iterator[Any]) -> Vectors:
        import torch

        with torch.inference_mode():
            return np.concatenate([encode(batch.to(self.device)).float().cpu().numpy() for batch in batches])

    def _parts(self, inputs: Sequence[Any]) -> Iterator[Sequence[Any]]:
        return (inputs[start : start + self.batch_size] for start in range(0, len(inputs), self.batch_size))
