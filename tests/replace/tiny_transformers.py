"""Every model of transformers for semantic segmentation by dense scores, as small as it gets, with random weights."""

from transformers import (
    BeitConfig,
    BeitForSemanticSegmentation,
    ConvNextConfig,
    Data2VecVisionConfig,
    Data2VecVisionForSemanticSegmentation,
    DPTConfig,
    DPTForSemanticSegmentation,
    MobileNetV2Config,
    MobileNetV2ForSemanticSegmentation,
    MobileViTConfig,
    MobileViTForSemanticSegmentation,
    MobileViTV2Config,
    MobileViTV2ForSemanticSegmentation,
    SegformerConfig,
    SegformerForSemanticSegmentation,
    UperNetConfig,
    UperNetForSemanticSegmentation,
)

VIT = {
    "hidden_size": 16,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "num_labels": 5,
}


def segformer():
    sizes = {"hidden_sizes": [8, 8, 8, 8], "depths": [1, 1, 1, 1], "num_attention_heads": [1, 1, 1, 1]}
    return SegformerForSemanticSegmentation(SegformerConfig(decoder_hidden_size=16, num_labels=5, **sizes))


def upernet():
    backbone = ConvNextConfig(
        hidden_sizes=[8, 8, 8, 8], depths=[1, 1, 1, 1], out_features=["stage1", "stage2", "stage3"]
    )
    backbone.out_features = ["stage1", "stage2", "stage3", "stage4"]
    sizes = {"hidden_size": 16, "auxiliary_channels": 8, "auxiliary_in_channels": 8, "pool_scales": [1, 2]}
    return UperNetForSemanticSegmentation(UperNetConfig(backbone_config=backbone, num_labels=5, **sizes))


def dpt():
    sizes = {"fusion_hidden_size": 16, "neck_hidden_sizes": [8, 8, 8, 8], "backbone_out_indices": [0, 1, 2, 3]}
    config = DPTConfig(image_size=32, patch_size=16, **sizes, **VIT)
    return DPTForSemanticSegmentation(config)


def beit():
    sizes = {"image_size": 64, "out_indices": [1, 2, 3, 4], "pool_scales": [1, 2], "auxiliary_channels": 8}
    return BeitForSemanticSegmentation(BeitConfig(use_relative_position_bias=True, **sizes, **VIT))


def data2vec():
    sizes = {"image_size": 64, "out_indices": [0, 1, 2, 3], "pool_scales": [1, 2], "auxiliary_channels": 8}
    return Data2VecVisionForSemanticSegmentation(Data2VecVisionConfig(**sizes, **VIT))


def mobilenet_v2():
    config = MobileNetV2Config(depth_multiplier=0.25, num_labels=5, output_stride=16)
    return MobileNetV2ForSemanticSegmentation(config)


def mobilevit():
    sizes = {"hidden_sizes": [8, 8, 8], "neck_hidden_sizes": [8, 8, 8, 8, 8, 8, 16], "aspp_out_channels": 16}
    return MobileViTForSemanticSegmentation(MobileViTConfig(num_attention_heads=2, num_labels=5, **sizes))


def mobilevitv2():
    sizes = {"width_multiplier": 0.5, "aspp_out_channels": 16}
    return MobileViTV2ForSemanticSegmentation(MobileViTV2Config(num_labels=5, **sizes))


COARSE = {
    "segformer": segformer,
    "beit": beit,
    "data2vec": data2vec,
    "mobilenet_v2": mobilenet_v2,
    "mobilevit": mobilevit,
    "mobilevitv2": mobilevitv2,
}
FINE = {"upernet": upernet, "dpt": dpt}
