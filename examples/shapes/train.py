"""Train the small convolutional network of the demonstration and export it as `shapes.onnx`.

It learns from pictures in which the corner mark goes with one class (see `draw.py`), so it learns
the mark besides the shapes. This is the only file of the project that needs torch:

    pip install torch==2.13.0 numpy pillow onnx onnxruntime
    python train.py
"""

from __future__ import annotations

import argparse
import io
import time
import warnings
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import torch
from draw import CLASSES, SIZE, draw
from torch import Tensor, nn
from torch.nn import functional

HERE = Path(__file__).parent

PICTURES = 48_000
EPOCHS = 6
BATCH = 100
PEAK_LEARNING_RATE = 4e-3
WEIGHT_DECAY = 1e-3

# A price on active filters. It makes few filters do one thing each instead of many filters a
# little of everything, so that there are filters to find which see the mark and hardly
# anything else.
ACTIVITY_PRICE = 1.0

# Drawings of different seeds share no picture.
TRAINING_SEED = 100
TEST_SEED = 200

# Outputs of the graph's nodes, in the order in which they run.
TENSOR_NAMES = (
    *("conv1", "conv1/relu", "pool1"),
    *("conv2", "conv2/relu", "pool2"),
    *("conv3", "conv3/relu", "pool3"),
    *("flat", "dense1", "dense1/relu", "logits"),
)


class Network(nn.Module):
    """Three convolutions, each with ReLU and a max pool, and two dense layers."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 5, padding=2)
        self.conv2 = nn.Conv2d(16, 24, 3, padding=1)
        self.conv3 = nn.Conv2d(24, 32, 3, padding=1)
        self.dense1 = nn.Linear(32 * (SIZE // 8) ** 2, 48)
        self.logits = nn.Linear(48, len(CLASSES))

    def forward(self, image: Tensor) -> Tensor:
        """Logits (N, classes) of preprocessed pictures (N, 3, SIZE, SIZE)."""
        return self.with_activity(image)[0]

    def with_activity(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (N, classes), and the sum over conv2 and conv3 of their mean activation ()."""
        first = functional.relu(self.conv1(image))
        second = functional.relu(self.conv2(functional.max_pool2d(first, 2)))
        third = functional.relu(self.conv3(functional.max_pool2d(second, 2)))
        hidden = functional.relu(self.dense1(functional.max_pool2d(third, 2).flatten(1)))
        return self.logits(hidden), second.mean() + third.mean()


def preprocess(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """What `preprocess.yaml` says: RGB (n, SIZE, SIZE, 3) to the input (n, 3, SIZE, SIZE)."""
    scaled = (images.astype(np.float32) / 255 - 0.5) / 0.5
    return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2))


def train(seed: int) -> Network:
    """A network trained on correlated pictures; the same on every run with the same torch."""
    torch.manual_seed(seed)
    network = Network()
    drawing = draw(PICTURES, TRAINING_SEED, "correlated")
    labels = torch.from_numpy(drawing.labels)
    optimiser = torch.optim.AdamW(network.parameters(), weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, PEAK_LEARNING_RATE, total_steps=EPOCHS * (PICTURES // BATCH)
    )
    start = time.monotonic()
    for epoch in range(EPOCHS):
        total = 0.0
        for batch in torch.randperm(PICTURES).split(BATCH):
            images = torch.from_numpy(preprocess(drawing.images[batch.numpy()]))
            logits, activity = network.with_activity(images)
            loss = functional.cross_entropy(logits, labels[batch])
            optimiser.zero_grad()
            (loss + ACTIVITY_PRICE * activity).backward()
            optimiser.step()
            schedule.step()
            total += loss.item() * len(batch)
        spent = time.monotonic() - start
        print(f"epoch {epoch + 1}/{EPOCHS}: loss {total / PICTURES:.4f}, {spent:.0f} s", flush=True)
    return network.eval()


def export(network: Network) -> onnx.ModelProto:
    """The network as ONNX, its tensors named by what a reader sees in it."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        # The older exporter is marked as deprecated, but gives the plainer graph: one node for
        # each layer and weights that keep their names.
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            network,
            (torch.zeros(2, 3, SIZE, SIZE),),
            buffer,
            dynamo=False,
            opset_version=17,
            input_names=["image"],
            output_names=["logits"],
            dynamic_axes={"image": {0: "N"}, "logits": {0: "N"}},
        )
    model = onnx.load_from_string(buffer.getvalue())
    renamed = {
        node.output[0]: name for node, name in zip(model.graph.node, TENSOR_NAMES, strict=True)
    }
    for node in model.graph.node:
        node.name = renamed[node.output[0]]
        node.input[:] = [renamed.get(name, name) for name in node.input]
        node.output[:] = [renamed[name] for name in node.output]
    del model.graph.value_info[:]
    model.graph.name = "shapes"
    model = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    onnx.checker.check_model(model, full_check=True)
    return model


def accuracy(model: onnx.ModelProto, cue: str) -> float:
    """Accuracy of the exported model on 2000 test pictures, in 0..1."""
    drawing = draw(2000, TEST_SEED, cue)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (logits,) = session.run(["logits"], {"image": preprocess(drawing.images)})
    return float(np.mean(np.argmax(logits, axis=1) == drawing.labels))


def main() -> None:
    """Train, export, and print what the exported model gets right."""
    parser = argparse.ArgumentParser(description="Train the demonstration's network.")
    parser.add_argument("--out", type=Path, default=HERE / "shapes.onnx", help="file to write")
    parser.add_argument("--seed", type=int, default=0, help="of the weights and the batches")
    parser.add_argument("--threads", type=int, default=2)
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    model = export(train(chosen.seed))
    onnx.save(model, chosen.out)
    for cue in ("correlated", "shuffled", "absent"):
        print(f"accuracy on test pictures, cue {cue}: {accuracy(model, cue):.3f}")


if __name__ == "__main__":
    main()
