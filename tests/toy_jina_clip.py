"""A toy with the inputs and outputs of Jina CLIP v2's export, laid out as its repository, a few hundred KB in all.

Texts are means of rows of a table over all ids but that of padding; pictures are projections of the mean colours of
4 x 4 fields. The table is solved so that the captions of the self-test, as queries, are their pictures' vectors.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from mmsearch_django.embedders.jina_clip import PROMPT
from mmsearch_django.embedders.jina_clip.preparation import Tokens, pixels
from mmsearch_django.embedders.selftest import CAPTIONS, captioned_pictures

DIMENSIONS = 1024
FIELDS = 4 * 4 * 3
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]
CORPUS = [PROMPT, *CAPTIONS.values(), "ein roter Wagen", "a red car by the sea", "deux chats", "的照片", "снег и лёд"]


def make(folder):
    """Write tokenizer.json and the three weights files."""
    (folder / "onnx").mkdir(parents=True)
    tokenizer().save(str(folder / "tokenizer.json"))
    random = np.random.default_rng(0)
    projection = random.standard_normal((FIELDS, DIMENSIONS)).astype(np.float32)
    table = solved(Tokens(folder / "tokenizer.json"), projection, random)
    big = folder / "onnx" / "model.onnx"
    onnx.save_model(
        graph(table, projection), str(big), save_as_external_data=True, location="model.onnx_data", size_threshold=1024
    )
    onnx.save_model(graph(table, projection, half=True), str(folder / "onnx" / "model_fp16.onnx"))
    onnx.save_model(graph(table, projection, quantised=True), str(folder / "onnx" / "model_quantized.onnx"))


def tokenizer():
    """Unigram with XLM-RoBERTa's special tokens, spaces and sentence marks."""
    made = Tokenizer(models.Unigram())
    made.normalizer = normalizers.NFKC()
    made.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    trainer = trainers.UnigramTrainer(vocab_size=160, special_tokens=SPECIAL, unk_token="<unk>", show_progress=False)
    made.train_from_iterator(CORPUS * 3, trainer)
    made.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    # As published: settings that an embedder must not inherit.
    made.enable_padding(pad_id=1, pad_token="<pad>", length=40)
    made.enable_truncation(8192)
    return made


def solved(tokens, projection, random):
    rows = [tokens(PROMPT + caption) for caption in CAPTIONS.values()]
    table = random.standard_normal((tokens.tokenizer.get_vocab_size(), DIMENSIONS)) * 4
    counts = np.stack([np.bincount(row, minlength=len(table)) / len(row) for row in rows])
    wanted = np.stack([pooled(pixels(picture)) for picture in captioned_pictures()]) @ projection
    return (table + np.linalg.pinv(counts) @ (wanted - counts @ table)).astype(np.float32)


def pooled(values):
    return values.reshape(3, 4, 128, 4, 128).mean(axis=(2, 4)).ravel()


def graph(table, projection, *, half=False, quantised=False):
    kind, element = (np.float16, TensorProto.FLOAT16) if half else (np.float32, TensorProto.FLOAT)
    node, integers = helper.make_node, lambda name, *values: numpy_helper.from_array(np.array(values, np.int64), name)
    nodes = [
        node("Equal", ["input_ids", "padding"], ["is_padding"]),
        node("Not", ["is_padding"], ["counts"]),
        node("Cast", ["counts"], ["mask"], to=element),
        node("Unsqueeze", ["mask", "last"], ["column"]),
        node("Gather", ["table", "input_ids"], ["rows"]),
        node("Mul", ["rows", "column"], ["kept"]),
        node("ReduceSum", ["kept", "middle"], ["sum"], keepdims=0),
        node("ReduceSum", ["mask", "middle"], ["number"], keepdims=1),
        node("Div", ["sum", "number"], ["text_mean"]),
        node("AveragePool", ["pixel_values"], ["fields"], kernel_shape=[128, 128], strides=[128, 128]),
        node("Reshape", ["fields", "flat"], ["features"]),
        node("MatMul", ["features", "projection"], ["picture"]),
    ]
    for vectors, name in (("text_mean", "text"), ("picture", "image")):
        nodes += _output(node, vectors, name, quantised=quantised)
    outputs = [f"{prefix}{name}_embeddings" for prefix in ("", "l2norm_") for name in ("text", "image")]
    made = helper.make_graph(
        nodes,
        "toy",
        [
            helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["texts", "tokens"]),
            helper.make_tensor_value_info("pixel_values", element, ["pictures", 3, 512, 512]),
        ],
        [helper.make_tensor_value_info(name, element, [f"n_{name}", DIMENSIONS]) for name in outputs],
        [
            integers("padding", 1),
            integers("last", 2),
            integers("middle", 1),
            integers("flat", -1, FIELDS),
            numpy_helper.from_array(table.astype(kind), "table"),
            numpy_helper.from_array(projection.astype(kind), "projection"),
        ],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def _output(node, vectors, name, *, quantised):
    """The vectors and their unit length; through eight bits scaled by the whole batch, as dynamic quantisation does."""
    found = f"{name}_embeddings"
    last = [node("LpNormalization", [found], [f"l2norm_{found}"], axis=1)]
    if not quantised:
        return [node("Identity", [vectors], [found]), *last]
    eight = [f"{name}_eight", f"{name}_scale", f"{name}_zero"]
    return [node("DynamicQuantizeLinear", [vectors], eight), node("DequantizeLinear", eight, [found]), *last]
