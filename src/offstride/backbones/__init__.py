"""Feature networks, from timm and ours, at any output stride that they can reach. The only room that knows timm."""

from offstride.backbones.backbone import Backbone
from offstride.backbones.weights import load_backbone_weights

__all__ = ["Backbone", "load_backbone_weights"]
