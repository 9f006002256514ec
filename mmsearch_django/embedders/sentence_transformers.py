"""Models that sentence-transformers loads natively: CLIP, SigLIP, SigLIP 2, Qwen3-VL-Embedding and fine-tuned kin."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

from PIL.Image import Image

from mmsearch_django.embedders import hub
from mmsearch_django.embedders.base import Embedder, Engine, Modality, Vectors
from mmsearch_django.embedders.cards import Card, Verified
from mmsearch_django.embedders.hub import Checkpoint
from mmsearch_django.embedders.torch_runtime import torch_with
from mmsearch_django.exceptions import ConfigurationError, EmbedderUnavailable

FILES = ("*.json", "*.safetensors")
"""Configuration and weights. Weights in other formats, and the same for other runtimes, are left where they are."""
EXTRAS = ("*.txt", "*.model")
"""Vocabularies that older checkpoints keep apart."""
CODE = ("*.py",)
SIGLIP_TOKENS = {"padding": "max_length", "max_length": 64, "truncation": True}
"""SigLIP was trained on texts of one length: padded to another, the same text is another vector."""
ELSEWHERE = {
    "jinaai/jina-clip-v2": (
        "its code does not run on the transformers that sentence-transformers 6 needs. "
        "Write 'BACKEND': 'mmsearch_django.embedders.jina_clip.JinaClipEmbedder'."
    ),
}
"""Models that would load here and give vectors that mean nothing."""
SIGLIP_2 = partial(Card, licence="apache-2.0", good_at="many languages, short texts", verified=Verified.TINY)
# OpenAI's code is under MIT; the page of the weights names no licence.
CLIP = partial(Card, licence="unknown", good_at="English, up to 77 tokens", verified=Verified.TINY)


class SentenceTransformersEmbedder(Embedder):
    """``MODEL`` is a folder, or a name on the hub at the commit ``REVISION``, which ``mmsearch_download`` fetches.

    ``OPTIONS``: ``dimensions`` (needed: they are known without loading), ``modalities`` (text and image), ``device``,
    ``dtype`` ("float16", "bfloat16"), ``batch_size`` (32), ``threads``, ``query_prompt`` and ``document_prompt``,
    ``matryoshka`` (True: vectors are cut to ``dimensions``), ``lowercase`` (True for SigLIP 2), ``trust_remote_code``.
    """

    backend = "sentence-transformers"
    libraries = ("sentence_transformers", "torch")
    extra = "mmsearch-django[sentence-transformers]"
    known_options = frozenset(
        {
            *("dimensions", "modalities", "device", "dtype", "batch_size", "threads", "query_prompt"),
            *("document_prompt", "matryoshka", "lowercase", "trust_remote_code"),
        }
    )
    cards = (
        SIGLIP_2(
            name="SigLIP 2, base",
            settings={"MODEL": "google/siglip2-base-patch16-224", "OPTIONS": {"dimensions": 768}},
            megabytes=1500,
        ),
        SIGLIP_2(
            name="SigLIP 2, so400m",
            settings={"MODEL": "google/siglip2-so400m-patch14-384", "OPTIONS": {"dimensions": 1152}},
            megabytes=4540,
        ),
        CLIP(
            name="CLIP, ViT-B/32",
            settings={"MODEL": "openai/clip-vit-base-patch32", "OPTIONS": {"dimensions": 512}},
            megabytes=605,
        ),
        CLIP(
            name="CLIP, ViT-L/14",
            settings={"MODEL": "openai/clip-vit-large-patch14", "OPTIONS": {"dimensions": 768}},
            megabytes=1710,
        ),
        Card(
            name="Qwen3-VL-Embedding, 2B",
            licence="apache-2.0",
            good_at="long texts, documents; needs torchvision and a GPU",
            verified=Verified.UNTRIED,
            settings={"MODEL": "Qwen/Qwen3-VL-Embedding-2B", "OPTIONS": {"dimensions": 2048}},
            other_dimensions="64 and more, with matryoshka",
        ),
    )

    def __init__(self, alias: str, **config: Any) -> None:
        super().__init__(alias, **config)
        named: Sequence[Modality] = self.options.get("modalities", ("text", "image"))
        self.modalities = frozenset(named)  # type: ignore[misc]
        self._refuse_known()
        if "dimensions" not in self.options:
            raise ConfigurationError(
                f"Embedder '{alias}' needs OPTIONS['dimensions']: the length of the vectors of {self.model!r}."
            )
        if not self._is_folder() and not hub.is_commit(self.revision):
            raise ConfigurationError(
                f"Embedder '{alias}': REVISION is {self.revision!r}. {self.model!r} is no folder here; of a model on "
                "the hub, give a full commit (branches and tags move)."
            )

    def _refuse_known(self) -> None:
        if self.model in ELSEWHERE:
            raise ConfigurationError(f"Embedder '{self.alias}' cannot run {self.model} here: {ELSEWHERE[self.model]}")

    def _is_folder(self) -> bool:
        path = Path(self.model)
        return path.is_absolute() or path.is_dir()

    @property
    def dimensions(self) -> int:
        return int(self.options["dimensions"])

    @property
    def weights(self) -> str:
        """Half precision moves vectors."""
        return str(self.options.get("dtype", ""))

    @property
    def checkpoint(self) -> Checkpoint | None:
        if self._is_folder():
            return None
        return Checkpoint(self.model, self.revision, FILES, extras=EXTRAS + (CODE if self._trusts_code() else ()))

    def _trusts_code(self) -> bool:
        return self.options.get("trust_remote_code") is True

    def load(self) -> Engine:
        self.require_available()
        model = self._model()
        native = model.get_embedding_dimension()
        if native is not None and native != self.dimensions and not self.options.get("matryoshka"):
            raise ConfigurationError(
                f"Embedder '{self.alias}': {self.model} has {native} dimensions, not {self.dimensions}. Set "
                "OPTIONS['dimensions'], or OPTIONS['matryoshka'] if the model was trained to be cut."
            )
        return SentenceTransformersEngine(model, self.model, self.dimensions, self.options)

    def _model(self) -> Any:
        torch_with(self.options.get("threads"))
        from sentence_transformers import SentenceTransformer

        dtype = self.options.get("dtype")
        try:
            return SentenceTransformer(
                str(self.checkpoint.place) if self.checkpoint else self.model,
                device=self.options.get("device"),
                trust_remote_code=self._trusts_code(),
                local_files_only=True,
                model_kwargs={"dtype": dtype} if dtype else {},
            )
        except (OSError, ValueError, ImportError) as error:
            raise EmbedderUnavailable(
                f"Embedder '{self.alias}' cannot load {self.model!r} from this machine: {error} "
                "Are all of its files there? Code that a model brings along runs only with "
                "OPTIONS['trust_remote_code']."
            ) from error


class SentenceTransformersEngine:
    """A loaded model. Texts and pictures are encoded apart: most models refuse a batch of both."""

    def __init__(self, model: Any, name: str, dimensions: int, options: Mapping[str, Any]) -> None:
        self.model = model
        self.dimensions = dimensions
        self.prompts = {True: options.get("query_prompt"), False: options.get("document_prompt")}
        self.batch_size = int(options.get("batch_size", 32))
        family = _family(model)
        self.processing = {"text": SIGLIP_TOKENS} if family.startswith("siglip") else {}
        # Fixed-size checkpoints of SigLIP 2 call themselves siglip.
        second = family == "siglip2" or "siglip2" in name.lower()
        self.lowercase = bool(options.get("lowercase", second))

    def texts(self, texts: Sequence[str], *, query: bool) -> Vectors:
        # As a dict a text is a text; as a string it could be an address to fetch or a path to open.
        contents = [{"text": text.lower() if self.lowercase else text} for text in texts]
        return self._encode(contents, prompt=self.prompts[query] or self.model.prompts.get(_prompt(query=query)))

    def images(self, images: Sequence[Image]) -> Vectors:
        return self._encode([{"image": image} for image in images], prompt=None)

    def _encode(self, contents: Sequence[Mapping[str, Any]], *, prompt: str | None) -> Vectors:
        vectors = self.model.encode(
            contents,
            prompt=prompt or None,
            batch_size=self.batch_size,
            show_progress_bar=False,
            convert_to_numpy=True,
            truncate_dim=self.dimensions,
            # Cut vectors are not of unit length.
            normalize_embeddings=True,
            **({"processing_kwargs": self.processing} if self.processing else {}),
        )
        return cast(Vectors, vectors)


def _prompt(*, query: bool) -> str:
    return "query" if query else "document"


def _family(model: Any) -> str:
    """The model type of transformers; empty for a module that has none."""
    config = getattr(getattr(model[0], "auto_model", None), "config", None)
    return str(getattr(config, "model_type", ""))
