"""Checkpoints of real architectures, tiny and of random weights, made on the spot."""

import json
from pathlib import Path


def tokens():
    """The alphabet of byte-level BPE, which spells every text."""
    from tokenizers import pre_tokenizers

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    return [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]


def clip(folder: Path) -> Path:
    import torch
    from transformers import CLIPConfig, CLIPModel, CLIPProcessor, CLIPTokenizer
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    vocabulary = {token: number for number, token in enumerate(tokens())}
    tokenizer = CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=77)
    layers = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    ids = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    config = CLIPConfig(
        text_config={
            **layers,
            **ids,
            "vocab_size": len(vocabulary),
            "max_position_embeddings": 77,
            "projection_dim": 32,
        },
        vision_config={**layers, "image_size": 32, "patch_size": 8, "projection_dim": 32},
        projection_dim=32,
    )
    torch.manual_seed(0)
    CLIPModel(config).eval().save_pretrained(folder)
    size = {"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}
    CLIPProcessor(image_processor=CLIPImageProcessorPil(**size), tokenizer=tokenizer).save_pretrained(folder)
    return folder


def siglip(folder: Path) -> Path:
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, SiglipConfig, SiglipModel, SiglipProcessor
    from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

    vocabulary = {token: number for number, token in enumerate([*tokens(), "<pad>", "<unk>"])}
    bpe = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token="<unk>"))
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe, pad_token="<pad>", eos_token="<|endoftext|>", unk_token="<unk>", model_max_length=64
    )
    layers = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = SiglipConfig(
        text_config={
            **layers,
            "vocab_size": len(vocabulary),
            "max_position_embeddings": 64,
            "projection_size": 32,
            "bos_token_id": None,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
        },
        vision_config={**layers, "image_size": 32, "patch_size": 8},
    )
    torch.manual_seed(0)
    SiglipModel(config).eval().save_pretrained(folder)
    processor = SiglipImageProcessorPil(size={"height": 32, "width": 32})
    SiglipProcessor(image_processor=processor, tokenizer=tokenizer).save_pretrained(folder)
    return folder


OPEN_CLIP = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "patch_size": 8},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}


def open_clip(folder: Path) -> Path:
    """As OpenCLIP publishes it: one file of configuration, one of weights."""
    import torch
    from open_clip import CLIP
    from safetensors.torch import save_file

    torch.manual_seed(0)
    save_file(CLIP(**OPEN_CLIP).state_dict(), folder / "open_clip_model.safetensors")
    preparation = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5], "interpolation": "bicubic"}
    whole = {"model_cfg": OPEN_CLIP, "preprocess_cfg": preparation}
    (folder / "open_clip_config.json").write_text(json.dumps(whole))
    return folder
