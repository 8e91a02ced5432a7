"""The models of the papers by name: `create_model("deeplabv3_resnet101_aspp", classes=5)`.

`offstride models` lists them with their costs, `offstride complexity --paper` shows what the tables print beside ours.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from offstride.models.config import ModelConfig

LAU = "LaU (He et al., 2019)"
DUPSAMPLING = "DUpsampling (Tian et al., 2019)"
DEEPLABV3 = "DeepLabv3 (Chen et al., 2017)"
GFF = "GFF (Li et al., 2020)"

VOC, CONTEXT, CITYSCAPES, ADE = 21, 59, 19, 150


@dataclass(frozen=True)
class Preset:
    """A published model.

    Attributes:
        config: Fields of `ModelConfig` without `classes`.
        classes: Classes of the data set of the paper.
        paper: Authors and year.
        table: Where the model is.
        row: What the paper calls it.
        size: Height and width of the image that costs are quoted for.
    """

    config: Mapping[str, Any]
    classes: int
    paper: str
    table: str
    row: str
    size: tuple[int, int] = (512, 512)


def _lau_models() -> dict[str, Preset]:
    """EncNet and ASPP with deep-stem ResNets on PASCAL Context, and DeepLabv3+ on VOC."""
    found = {}
    for depth, hidden in ((50, 128), (101, 64)):
        lau = {"upsampler": "lau", "upsampler_options": {"scale": 4, "hidden": hidden}}
        for stride in (8, 32):
            encnet = {"backbone": f"resnet{depth}s", "output_stride": stride, "head": "encnet"}
            name = f"encnet_resnet{depth}_os{stride}"
            found[name] = Preset(encnet, CONTEXT, LAU, "3a, 8", f"EncNet-R{depth} OS{stride}")
            found[f"{name}_lau"] = Preset(
                encnet | lau, CONTEXT, LAU, "3a, 3b, 8", f"EncNet-R{depth} OS{stride} + LaU 4×"
            )
        # the models that LaU starts from have a block between ASPP and classifier, which then feeds the offsets alone
        aspp = {"backbone": f"resnet{depth}s", "output_stride": 8, "head": "aspp"}
        plain = aspp | {"head_options": {"block": True}}
        block = {"upsampler": "lau", "upsampler_options": {"scale": 4, "hidden": hidden, "block": True}}
        found[f"aspp_resnet{depth}"] = Preset(plain, CONTEXT, LAU, "3a, 8", f"ASPP-R{depth}")
        found[f"aspp_resnet{depth}_lau"] = Preset(aspp | block, CONTEXT, LAU, "3a, 8", f"ASPP-R{depth} + LaU 4×")
        plus = {"backbone": f"resnet{depth}", "output_stride": 16, "head": "deeplabv3plus"}
        inner = {"head_options": {"upsampler": "lau", "upsampler_options": {"scale": 4, "hidden": hidden}}}
        found[f"deeplabv3plus_resnet{depth}"] = Preset(plus, VOC, LAU, "7", f"Bilinear ResNet-{depth}", (513, 513))
        found[f"deeplabv3plus_resnet{depth}_lau"] = Preset(
            plus | inner, VOC, LAU, "7", f"LaU 4× ResNet-{depth}", (513, 513)
        )
    return found | _lau_ratios() | _lau_baselines()


def _lau_ratios() -> dict[str, Preset]:
    encnet = {"backbone": "resnet50s", "output_stride": 8, "head": "encnet", "upsampler": "lau"}
    return {
        f"encnet_resnet50_os8_lau{scale}x": Preset(
            encnet | {"upsampler_options": {"scale": scale, "hidden": 128}},
            CONTEXT,
            LAU,
            "1",
            f"{scale}×",
            (480, 480),
        )
        for scale in (2, 3, 5)
    }


def _lau_baselines() -> dict[str, Preset]:
    """Pixel shuffle and deformable convolution in place of LaU, and the cascade that the paper leaves open."""
    found = {}
    for base, title in (("encnet", "EncNet"), ("aspp", "ASPP")):
        config: dict[str, Any] = {"backbone": "resnet50s", "output_stride": 8, "head": base}
        if base == "aspp":
            config["head_options"] = {"block": True}
        for scales, text in (((2,), "2×"), ((3,), "3×"), ((2, 2), "2×+2×")):
            options = {"upsampler": "pixel_shuffle", "upsampler_options": {"scales": list(scales)}}
            name = f"{base}_resnet50_shuffle{'_'.join(map(str, scales))}"
            found[name] = Preset(config | options, CONTEXT, LAU, "3a", f"{title} PixelShuffle {text}")
        deformable = config | {"upsampler": "deformable"}
        found[f"{base}_resnet50_deformable"] = Preset(deformable, CONTEXT, LAU, "4", f"{title} Deformable + Bilinear")
    config = {"backbone": "resnet50s", "output_stride": 8, "head": "encnet"}
    found["encnet_resnet50_cascaded_lau"] = Preset(
        config | {"upsampler": "cascaded_lau"}, CONTEXT, LAU, "§4.2.1", "three cascaded 2× upsamplings"
    )
    groups = {"upsampler": "lau", "upsampler_options": {"scale": 4, "groups": "classes"}}
    found["encnet_resnet50_lau_per_class"] = Preset(config | groups, CONTEXT, LAU, "§3.1.2", "M = n")
    return found


def _dupsampling_models() -> dict[str, Preset]:
    found = {}
    # the published ResNet-50 of DeepLab has a deep stem, whose third convolution the tables call conv1_3
    for stride in (32, 16):
        config = _dupsampling("resnet50s", 64, stride)
        text = f"DUpsampling, output stride {stride}"
        found[f"dupsampling_resnet50_os{stride}"] = Preset(config, VOC, DUPSAMPLING, "1, 2", text, (513, 513))
    fusions = {
        "conv1_3": ["conv1_3"],
        "b1u2c3": ["b1u2c3"],
        "b3u6c3": ["b3u6c3"],
        "b1u2c3_b3u6c3": ["b3u6c3", "b1u2c3"],
        "conv1_3_b3u6c3": ["b3u6c3", "conv1_3"],
    }
    for name, low in fusions.items():
        config = _dupsampling("resnet50s", 64, low=low)
        text = " + ".join(sorted(low))
        found[f"dupsampling_resnet50_{name}"] = Preset(config, VOC, DUPSAMPLING, "2, 3", text, (513, 513))
    for low in ("efb2u1c2", "mfb1u16c3"):
        config = _dupsampling("xception65", 128, low=[low])
        found[f"dupsampling_xception65_{low}"] = Preset(
            config, VOC, DUPSAMPLING, "3", f"Xception-65, {low}", (513, 513)
        )
    for backbone, low in (("resnet50s", "b1u2c3"), ("xception65", "efb2u1c2"), ("xception65", "mfb1u16c3")):
        title = "ResNet-50" if backbone == "resnet50s" else "Xception-65"
        name = f"vanilla_{backbone.removesuffix('s')}_{low}"
        found[name] = Preset(_vanilla(backbone, low), VOC, DUPSAMPLING, "3", f"Vanilla {title}, {low}", (513, 513))
    found["dupsampling_xception71_cityscapes"] = Preset(
        _dupsampling("xception71", 256, low=["mfb1u16c3"]), CITYSCAPES, DUPSAMPLING, "4", "Proposed", (1025, 2049)
    )
    found["vanilla_xception71_cityscapes"] = Preset(
        _vanilla("xception71", "efb2u1c2"), CITYSCAPES, DUPSAMPLING, "4", "Vanilla", (1025, 2049)
    )
    return found


def _dupsampling(backbone: str, codes: int, stride: int = 16, low: list[str] | None = None) -> dict[str, Any]:
    return {
        "backbone": backbone,
        "output_stride": stride,
        "taps": low or [],
        "head": "dupsampling_decoder",
        "head_options": {"low_level": low or []},
        "upsampler": "dupsampling",
        "upsampler_options": {"channels": codes},
    }


def _vanilla(backbone: str, low: str) -> dict[str, Any]:
    return {
        "backbone": backbone,
        "output_stride": 16,
        "taps": [low],
        "head": "dupsampling_decoder",
        "head_options": {"low_level": [low], "vanilla": True},
    }


def _deeplabv3_models() -> dict[str, Preset]:
    found = {}
    for depth in (50, 101):
        for block in (4, 5, 6, 7):
            config = {"backbone": f"resnet{depth}", "output_stride": 16, "head": "linear", "multi_grid": [1, 1, 1]}
            if block > 4:
                config["cascade"] = block
            text = f"ResNet-{depth} block{block}"
            found[f"deeplabv3_resnet{depth}_block{block}"] = Preset(config, VOC, DEEPLABV3, "2, 3", text, (513, 513))
    for stride in (8, 32, 64, 128, 256):
        config = {"backbone": "resnet50", "output_stride": stride, "head": "linear", "cascade": 7}
        config["multi_grid"] = [1, 1, 1]
        text = f"ResNet-50 block7, output stride {stride}"
        found[f"deeplabv3_resnet50_block7_os{stride}"] = Preset(config, VOC, DEEPLABV3, "1", text, (513, 513))
    grid = {"backbone": "resnet101", "output_stride": 16, "head": "linear", "cascade": 7, "multi_grid": [1, 2, 1]}
    found["deeplabv3_resnet101_cascade"] = Preset(grid, VOC, DEEPLABV3, "3, 4", "block7, MG(1, 2, 1)", (513, 513))
    aspp = {"backbone": "resnet101", "output_stride": 16, "head": "aspp", "multi_grid": [1, 2, 4]}
    found["deeplabv3_resnet101_aspp"] = Preset(aspp, VOC, DEEPLABV3, "5, 6", "MG(1, 2, 4) + ASPP + pooling", (513, 513))
    wide = aspp | {"head_options": {"rates": [6, 12, 18, 24], "image_pooling": False}}
    found["deeplabv3_resnet101_aspp4"] = Preset(
        wide, VOC, DEEPLABV3, "5", "MG(1, 2, 4) + ASPP (6, 12, 18, 24)", (513, 513)
    )
    mobile = {"backbone": "mobilenetv2_100", "output_stride": 16, "head": "aspp"}
    found["deeplabv3_mobilenetv2_aspp"] = Preset(mobile, VOC, DEEPLABV3, "§3.3", "ASPP on MobileNetV2", (513, 513))
    return found


def _gff_models() -> dict[str, Preset]:
    carriers = {
        "pspnet_resnet101": ({"backbone": "resnet101", "head": "psp", "auxiliary": "layer3"}, "1, 2, 3", "PSPNet"),
        "pspnet_resnet18": ({"backbone": "resnet18", "head": "psp", "auxiliary": "layer3"}, "4", "PSP ResNet-18"),
        "denseaspp_densenet121": ({"backbone": "densenet121", "head": "denseaspp"}, "4", "DenseASPP DenseNet-121"),
        "denseaspp_densenet161": (
            {"backbone": "densenet161", "head": "denseaspp", "head_options": {"inner": 512, "channels": 128}},
            "5",
            "DenseASPP DenseNet-161",
        ),
        "deeplabv3plus_wider_resnet38": (
            {"backbone": "wider_resnet38", "head": "deeplabv3plus"},
            "8",
            "DeepLabv3+ Wider-ResNet-38",
        ),
    }
    found = {}
    for name, (config, table, title) in carriers.items():
        config = config | {"output_stride": 8}
        kinds = {"": {}, "_gff": {"fusion": "gff"}, "_gff_dfp": {"fusion": "gff", "fusion_options": {"pyramid": True}}}
        if name == "pspnet_resnet101":
            kinds |= {f"_{kind}": {"fusion": kind} for kind in ("concat", "addition", "fpn", "gated_fpn")}
        for suffix, fusion in kinds.items():
            row = title + suffix.upper().replace("GATED_FPN", "GATED FPN").replace("_", " + ")
            found[name + suffix] = Preset(config | fusion, CITYSCAPES, GFF, table, row)
    return found


PRESETS: dict[str, Preset] = _lau_models() | _dupsampling_models() | _deeplabv3_models() | _gff_models()


def preset_config(name: str, classes: int | None = None) -> ModelConfig:
    """Configuration of a published model.

    Args:
        name: Key of `PRESETS`.
        classes: Number of classes; those of the paper's data set by default.

    Raises:
        ValueError: If there is no such model, with names like it.
    """
    if name not in PRESETS:
        close = get_close_matches(name, PRESETS, cutoff=0.4)
        hint = f"; close: {', '.join(close)}" if close else ""
        raise ValueError(f"model: expected the name of a published model, got {name!r}{hint}")
    preset = PRESETS[name]
    return ModelConfig.from_dict({**preset.config, "classes": preset.classes if classes is None else classes})
