"""Feature networks from timm, at any output stride that they can reach. The only room that knows timm."""

from offstride.backbones.backbone import Backbone, FeatureInfo
from offstride.backbones.weights import load_backbone_weights

__all__ = ["Backbone", "FeatureInfo", "load_backbone_weights"]
