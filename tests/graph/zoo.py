"""Small networks of well-known topologies, in plain torch: small in channels and pixels, not in
kinds of layers. Nothing is computed in place, so that every tensor keeps the value that it had.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn import functional as f


def block(
    into: int, out: int, kernel: int = 3, act: type[nn.Module] | None = nn.ReLU, **options: object
) -> nn.Sequential:
    """Convolution, normalisation, activation."""
    options = {"padding": kernel // 2, "bias": False, **options}
    parts = [nn.Conv2d(into, out, kernel, **options), nn.BatchNorm2d(out)]
    return nn.Sequential(*parts, *([act()] if act else []))


class AlexNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 11, stride=4, padding=2),
            nn.ReLU(),
            nn.LocalResponseNorm(5, alpha=0.1),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(8, 12, 5, padding=2, groups=2),
            nn.ReLU(),
            nn.LocalResponseNorm(3, alpha=0.1),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(12, 12, 3, padding=1, groups=2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2, ceil_mode=True),
        )
        self.classifier = nn.Sequential(
            nn.Dropout(), nn.Linear(12, 16), nn.ReLU(), nn.Dropout(), nn.Linear(16, 5)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(torch.flatten(self.features(x), 1))


class Vgg(nn.Sequential):
    def __init__(self) -> None:
        parts: list[nn.Module] = []
        for into, out in ((3, 8), (8, 12), (12, 16)):
            parts += [nn.Conv2d(into, out, 3, padding=1), nn.ReLU()]
            parts += [nn.Conv2d(out, out, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
        super().__init__(*parts, nn.Flatten(), nn.Linear(16 * 16, 20), nn.ReLU(), nn.Linear(20, 5))


class Bottleneck(nn.Module):
    def __init__(self, into: int, out: int, stride: int, dilation: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(
            block(into, 6, 1),
            block(6, 6, 3, stride=stride, dilation=dilation, padding=dilation),
            block(6, out, 1, act=None),
        )
        self.side = block(into, out, 1, act=None, stride=stride) if into != out else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return f.relu(self.body(x) + self.side(x))


class ResNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(block(3, 8, 7, stride=2), nn.MaxPool2d(3, 2, 1))
        self.blocks = nn.Sequential(
            Bottleneck(8, 16, 1), Bottleneck(16, 16, 1), Bottleneck(16, 24, 2, dilation=2)
        )
        self.fc = nn.Linear(24, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(f.adaptive_avg_pool2d(self.blocks(self.stem(x)), 1).flatten(1))


class DenseNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.BatchNorm2d(8 + 4 * i), nn.ReLU(), nn.Conv2d(8 + 4 * i, 4, 3, padding=1)
            )
            for i in range(3)
        )
        self.transition = nn.Sequential(
            nn.BatchNorm2d(20), nn.ReLU(), nn.Conv2d(20, 10, 1), nn.AvgPool2d(2, 2)
        )
        self.last = nn.Sequential(nn.BatchNorm2d(10), nn.ReLU())
        self.fc = nn.Linear(10, 5)

    def forward(self, x: Tensor) -> Tensor:
        features = [self.stem(x)]
        for layer in self.layers:
            features.append(layer(torch.cat(features, 1)))
        y = self.last(self.transition(torch.cat(features, 1)))
        return self.fc(y.mean(dim=(2, 3)))


class Inception(nn.Module):
    """Parallel branches, a pool with stride 1 fed by a pool, factorised kernels, pools that round
    up."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(block(3, 8, stride=2), nn.MaxPool2d(3, 2, ceil_mode=True))
        self.one = block(8, 4, 1)
        self.three = nn.Sequential(block(8, 4, 1), block(4, 6))
        self.seven = nn.Sequential(
            block(8, 4, 1),
            nn.Conv2d(4, 4, (1, 7), padding=(0, 3)),
            nn.ReLU(),
            nn.Conv2d(4, 4, (7, 1), padding=(3, 0)),
            nn.ReLU(),
        )
        self.pool = nn.Sequential(nn.MaxPool2d(3, 1, 1), block(8, 4, 1))
        self.average = nn.AvgPool2d(3, 1, 1, count_include_pad=False)
        self.shrink = nn.AvgPool2d(3, 2, ceil_mode=True)
        self.fc = nn.Linear(18, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        y = torch.cat([self.one(x), self.three(x), self.seven(x), self.pool(x)], 1)
        return self.fc(self.shrink(self.average(y)).amax(dim=(2, 3)))


class SqueezeExcite(nn.Module):
    def __init__(self, width: int, gate: type[nn.Module]) -> None:
        super().__init__()
        self.down, self.up = nn.Conv2d(width, 4, 1), nn.Conv2d(4, width, 1)
        self.gate = gate()

    def forward(self, x: Tensor) -> Tensor:
        pooled = f.adaptive_avg_pool2d(x, 1)
        return x * self.gate(self.up(f.relu(self.down(pooled))))


class Inverted(nn.Module):
    """Expand, depthwise, squeeze and excite, project: MobileNet's and EfficientNet's block."""

    def __init__(
        self,
        into: int,
        out: int,
        kernel: int,
        stride: int,
        act: type[nn.Module],
        gate: type[nn.Module] | None = None,
    ) -> None:
        super().__init__()
        wide = 2 * into
        self.body = nn.Sequential(
            block(into, wide, 1, act),
            block(wide, wide, kernel, act, stride=stride, groups=wide),
            SqueezeExcite(wide, gate) if gate else nn.Identity(),
            block(wide, out, 1, None),
        )
        self.residual = stride == 1 and into == out

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x) if self.residual else self.body(x)


class MobileNet(nn.Module):
    def __init__(self, act: type[nn.Module], gate: type[nn.Module] | None = None) -> None:
        super().__init__()
        self.features = nn.Sequential(
            block(3, 8, act=act, stride=2),
            Inverted(8, 8, 3, 1, act, gate),
            Inverted(8, 12, 5, 2, act, gate),
            Inverted(12, 12, 5, 1, act, gate),
            block(12, 16, 1, act),
        )
        self.head = nn.Sequential(nn.Linear(16, 12), act(), nn.Dropout(0.2), nn.Linear(12, 5))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(f.adaptive_avg_pool2d(self.features(x), 1).flatten(1))


def shuffled(x: Tensor, groups: int) -> Tensor:
    n, c, h, w = x.shape
    return x.reshape(n, groups, c // groups, h, w).transpose(1, 2).reshape(n, c, h, w)


class ShuffleNet(nn.Module):
    """Version 1's grouped convolutions, then version 2's split."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(block(3, 12, stride=2), nn.MaxPool2d(3, 2, 1))
        self.down = block(12, 12, 1, groups=3)
        self.depthwise = block(12, 12, 3, act=None, groups=12)
        self.up = block(12, 12, 1, act=None, groups=3)
        self.branch = nn.Sequential(block(6, 6, 1), block(6, 6, 3, None, groups=6), block(6, 6, 1))
        self.fc = nn.Linear(12, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = f.relu(x + self.up(self.depthwise(shuffled(self.down(x), 3))))
        left, right = x.chunk(2, dim=1)
        x = shuffled(torch.cat([left, self.branch(right)], 1), 2)
        return self.fc(x.mean((2, 3)))


class TextCnn(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(40, 12)
        self.convs = nn.ModuleList(nn.Conv1d(12, 8, k) for k in (2, 3, 4))
        self.fc = nn.Linear(24, 5)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.embed(ids).transpose(1, 2)
        pooled = [f.relu(conv(x)).max(dim=2).values for conv in self.convs]
        return self.fc(torch.cat(pooled, 1))


class Mlp(nn.Module):
    """Every smooth and bent activation in turn."""

    ACTS: Sequence[nn.Module] = (
        nn.GELU(),
        nn.GELU(approximate="tanh"),
        nn.ELU(0.7),
        nn.SELU(),
        nn.CELU(1.5),
        nn.Softplus(beta=2),
        nn.SiLU(),
        nn.Mish(),
        nn.LeakyReLU(0.2),
        nn.PReLU(12),
        nn.Tanh(),
        nn.Hardtanh(-0.5, 0.6),
        nn.LogSigmoid(),
        nn.Softsign(),
    )

    def __init__(self) -> None:
        super().__init__()
        self.acts = nn.ModuleList(deepcopy(self.ACTS))
        self.linears = nn.ModuleList(nn.Linear(12, 12) for _ in self.acts)
        self.norms = nn.ModuleList(nn.LayerNorm(12) for _ in self.acts)
        self.fc = nn.Linear(12, 5)

    def forward(self, x: Tensor) -> Tensor:
        for linear, norm, act in zip(self.linears, self.norms, self.acts, strict=True):
            x = x + act(norm(linear(x)))
        return f.log_softmax(self.fc(x), dim=1)


class UNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.bottom = block(3, 6), block(6, 8), block(8, 10)
        self.up = nn.ConvTranspose2d(10, 8, 3, stride=2, padding=1, output_padding=1)
        self.merge, self.last = block(16, 8), block(14, 6)
        self.smooth = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
        self.side = nn.Upsample(scale_factor=4, mode="nearest")
        self.head = nn.Conv2d(16, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        a = self.first(x)
        b = self.second(f.max_pool2d(a, 2))
        c = self.bottom(f.max_pool2d(b, 2))
        d = self.merge(torch.cat([self.up(c), b], 1))
        e = self.last(torch.cat([self.smooth(d), a], 1))
        return self.head(torch.cat([e, self.side(c)], 1))


class Recurrent(nn.Module):
    def __init__(self, kind: type[nn.RNNBase], **options: object) -> None:
        super().__init__()
        self.embed = nn.Embedding(40, 8)
        self.rnn = kind(8, 6, num_layers=2, batch_first=True, **options)
        width = 6 * (2 if options.get("bidirectional") else 1)
        self.norm = nn.LayerNorm(width)
        self.fc = nn.Linear(width, 5)

    def forward(self, ids: Tensor) -> Tensor:
        found, _ = self.rnn(self.embed(ids))
        return self.fc(torch.tanh(self.norm(found)).mean(1))


class ChannelsLast(nn.Module):
    """As Keras exports: channels last between layers, a transpose around each convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList([nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, stride=2)])
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False)
        self.scale = nn.Parameter(torch.rand(8) + 0.5)
        self.shift = nn.Parameter(torch.randn(8))
        self.fc = nn.Linear(8 * 9, 5)

    def forward(self, x: Tensor) -> Tensor:
        for conv in (*self.convs, self.depthwise):
            x = conv(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
            x = f.relu(x * self.scale + self.shift)
        x = f.max_pool2d(x.permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1)
        return f.softmax(self.fc(x.reshape(x.shape[0], -1)), dim=-1)


class Normed(nn.Module):
    """Group, instance and layer normalisation, padding that reflects, sub-pixel upsampling."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(3, 8, 3),
            nn.GroupNorm(4, 8),
            nn.SiLU(),
            nn.ReplicationPad2d(1),
            nn.Conv2d(8, 8, 3, stride=2),
            nn.InstanceNorm2d(8, affine=True),
            nn.GELU(),
            nn.PixelShuffle(2),
            nn.Conv2d(2, 4, 1),
            nn.PixelUnshuffle(2),
            nn.LayerNorm([16, 5, 5]),
        )
        self.fc = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        y = self.body(x).flatten(2)
        return self.fc(y.std(dim=2) + y.norm(dim=2) + y.logsumexp(dim=2))


class Video(nn.Sequential):
    """Three spatial dimensions."""

    def __init__(self) -> None:
        super().__init__(
            nn.Conv3d(2, 4, 3, padding=1),
            nn.BatchNorm3d(4),
            nn.ReLU(),
            nn.MaxPool3d(2),
            nn.Conv3d(4, 6, (1, 3, 3), stride=(1, 2, 2)),
            nn.ReLU(),
            nn.AvgPool3d((2, 1, 1)),
            nn.ConvTranspose3d(6, 4, 2, groups=2),
            nn.ReLU(),
            nn.AdaptiveAvgPool3d(1),
            nn.Flatten(),
            nn.Linear(4, 5),
        )


class Causal(nn.Module):
    """Dilated causal convolutions with gates, as in WaveNet."""

    def __init__(self) -> None:
        super().__init__()
        self.into = nn.Conv1d(2, 8, 1)
        self.gated = nn.ModuleList(nn.Conv1d(8, 16, 2, dilation=d) for d in (1, 2, 4))
        self.out = nn.ModuleList(nn.Conv1d(8, 8, 1) for _ in range(3))
        self.fc = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x, skips = self.into(x), []
        for gated, out in zip(self.gated, self.out, strict=True):
            a, b = gated(f.pad(x, (gated.dilation[0], 0))).split(8, dim=1)
            y = out(torch.tanh(a) * torch.sigmoid(b))
            skips.append(y)
            x = x + y
        return self.fc(f.relu(torch.stack(skips).sum(0))[:, :, -1])


class Attention(nn.Module):
    """Torch's own transformer encoder on patches, with a class token and a causal mask."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 16, 4, stride=4)
        self.token = nn.Parameter(torch.randn(1, 1, 16))
        self.places = nn.Parameter(torch.randn(1, 10, 16))
        self.query = nn.Linear(16, 48)
        self.norm, self.after = nn.LayerNorm(16), nn.LayerNorm(16)
        self.wide, self.narrow = nn.Linear(16, 24), nn.Linear(24, 16)
        self.fc = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.places
        q, k, v = (
            part.unflatten(2, (4, 4)).transpose(1, 2)
            for part in self.query(self.norm(x)).chunk(3, dim=2)
        )
        mixed = f.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + mixed.transpose(1, 2).flatten(2)
        x = x + self.narrow(f.gelu(self.wide(self.after(x))))
        return self.fc(x[:, -1])
