"""What is known of a feature map before it is computed."""

from typing import NamedTuple


class FeatureInfo(NamedTuple):
    """A feature map: its channels, its stride in image pixels and the module that it comes from."""

    channels: int
    stride: int
    name: str
