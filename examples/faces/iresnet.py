"""The network of ArcFace: a ResNet whose blocks begin and end with a batch norm, 112 x 112 pixels → 512 numbers.

Layers and names are those of `arcface_torch` (deepinsight/insightface, recognition/arcface_torch/backbones/iresnet.py),
so that a backbone you trained with it loads as it is: `safetensors.torch.save_file(backbone.state_dict(), …)`.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

EPSILON = 1e-5


class Block(nn.Module):
    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(before, eps=EPSILON)
        self.conv1 = nn.Conv2d(before, after, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(after, eps=EPSILON)
        self.prelu = nn.PReLU(after)
        self.conv2 = nn.Conv2d(after, after, 3, stride, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(after, eps=EPSILON)
        self.downsample = (
            nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after, eps=EPSILON))
            if stride != 1 or before != after
            else nn.Identity()
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inner = self.conv2(self.prelu(self.bn2(self.conv1(self.bn1(x)))))
        added: torch.Tensor = self.bn3(inner) + self.downsample(x)
        return added


class IResNet(nn.Module):
    """`layers`: blocks of each of the four stages; (3, 4, 14, 3) is ArcFace's r50, (3, 13, 30, 3) its r100."""

    def __init__(self, layers: Sequence[int] = (3, 4, 14, 3), *, width: int = 64, dimension: int = 512) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width, eps=EPSILON)
        self.prelu = nn.PReLU(width)
        before = width
        for stage, blocks in enumerate(layers):
            after = width << stage
            made = [Block(before if n == 0 else after, after, 2 if n == 0 else 1) for n in range(blocks)]
            setattr(self, f"layer{stage + 1}", nn.Sequential(*made))
            before = after
        self.bn2 = nn.BatchNorm2d(before, eps=EPSILON)
        self.fc = nn.Linear(before * 7 * 7, dimension)
        self.features = nn.BatchNorm1d(dimension, eps=EPSILON)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.prelu(self.bn1(self.conv1(x)))
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
        answered: torch.Tensor = self.features(self.fc(self.bn2(x).flatten(1)))
        return answered
