"""A real trained model of others, DeepLabv3-MobileNetV2 (TensorFlow, PASCAL VOC), as an Offstride model: before and
after its bilinear upsampling gives way to LaU, while everything else stays frozen.

    python benchmarks/voc_deeplab.py --weights deeplabv3_mobilenetv2_voc_os8.safetensors --root CAMVID \
        [--photographs FOLDER] [--steps 120] [--seeds 0 1 2] [--runs runs/voc_deeplab]

The weights are converted and compared with the plain PyTorch model below. For CamVid the classifier keeps its rows of
background, car and person: Car is car there, Pedestrian person, Bicyclist (rider and bicycle) and void are ignored, all
else is background. LaU is trained on crops of the train split; their maps do not change, so they are computed once. To
tell what upsampling has to do with a gain, the classifier is trained alone on the same maps, and LaU after it. The test
split is scored. Images get one row and one column of mean colour, not scored: coarse pixels then lie at multiples of 8,
as in the 513×513 training of the network. Writes `benchmarks/results/voc_deeplab.json`.
"""

import argparse
import json
from pathlib import Path
from random import Random

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn

from machine import write_result
from offstride import Segmenter, create_model
from offstride.compare import WIDTHS, Entry, ImageCounts, Resampling, compare, count_pixels
from offstride.data import CamVid, EvalTransform, TrainTransform
from offstride.data.catalog import ClassSet
from offstride.data.catalog_published import VOC
from offstride.data.sample import sample_name
from offstride.features import Guides
from offstride.field import argmax, cross_entropy
from offstride.train import Recipe, build_model, with_new_upsampler

IGNORED = 255
CAMVID_CLASSES = {"Car": 7, "Pedestrian": 15}
"""Class of VOC by class of CamVid."""
STREET = ClassSet(names=("background", "car", "person"), palette=tuple(VOC.palette[i] for i in (0, 7, 15)))
CROP, BATCH = (241, 321), 4
ARMS = {
    "lau": "LaU trained, all else frozen",
    "classifier": "classifier trained, all else frozen",
    "after": "then LaU trained, classifier and all else frozen",
}


class SameConvolution(nn.Module):
    """Convolution with a bias, padded as TensorFlow does: where the padding is odd there is more below and to the
    right.
    """

    def __init__(self, weight: Tensor, bias: Tensor, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)
        self.stride, self.dilation = stride, dilation
        self.groups = weight.shape[0] if weight.shape[1] == 1 else 1

    def forward(self, x: Tensor) -> Tensor:
        reach = (self.weight.shape[-1] - 1) * self.dilation + 1
        pads = [max((-(-size // self.stride) - 1) * self.stride + reach - size, 0) for size in reversed(x.shape[2:])]
        x = F.pad(x, [part for pad in pads for part in (pad // 2, pad - pad // 2)])
        return F.conv2d(x, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)


class PlainDeepLab(nn.Module):
    """The network as its weights are, with batch normalisation folded into biases: `(B, 21, H, W)` scores."""

    def __init__(self, weights: dict[str, Tensor]) -> None:
        super().__init__()
        self.weights = weights
        self.stem = self._convolution("backbone.conv_stem", stride=2)
        self.blocks = nn.ModuleList([self._block(i, j) for i, j in _units(weights)])
        names = ("image_pooling", "aspp0", "concat_projection", "logits")
        self.head = nn.ModuleDict({name: self._convolution(f"head.{name}") for name in names})

    def _convolution(self, name: str, **options: int) -> SameConvolution:
        return SameConvolution(self.weights[f"{name}.weight"], self.weights[f"{name}.bias"], **options)

    def _block(self, i: int, j: int) -> nn.ModuleDict:
        stride = 2 if j == 0 and i in (1, 2) else 1
        dilation = 1 if (i, j) <= (3, 0) else 2 if (i, j) <= (5, 0) else 4
        name = f"backbone.blocks.{i}.{j}"
        depthwise = self._convolution(f"{name}.conv_dw", stride=stride, dilation=dilation)
        if f"{name}.conv_pwl.weight" not in self.weights:
            return nn.ModuleDict({"dw": depthwise, "out": self._convolution(f"{name}.conv_pw")})
        parts = {"in": f"{name}.conv_pw", "out": f"{name}.conv_pwl"}
        return nn.ModuleDict({"dw": depthwise} | {key: self._convolution(value) for key, value in parts.items()})

    def forward(self, images: Tensor) -> Tensor:
        x = F.relu6(self.stem(images))
        for block in self.blocks:
            y = F.relu6(block["in"](x)) if "in" in block else x
            y = block["out"](F.relu6(block["dw"](y)))
            x = x + y if x.shape == y.shape else y
        pooled = F.relu(self.head["image_pooling"](x.mean((2, 3), keepdim=True))).expand(-1, -1, *x.shape[2:])
        both = torch.cat((pooled, F.relu(self.head["aspp0"](x))), 1)
        scores = self.head["logits"](F.relu(self.head["concat_projection"](both)))
        return F.interpolate(scores, images.shape[2:], mode="bilinear", align_corners=True)


def _units(weights: dict[str, Tensor]) -> list[tuple[int, int]]:
    return sorted({tuple(map(int, name.split(".")[2:4])) for name in weights if ".blocks." in name})  # type: ignore[misc]


def converted(weights: dict[str, Tensor], classes: ClassSet, kept: list[int]) -> Segmenter:
    """The network as an Offstride model with some of its classes; batch normalisation adds the biases."""
    model = create_model(
        backbone="mobilenetv2_100",
        backbone_options={"pad_type": "same", "bn_eps": 1e-3},
        output_stride=8,
        head="aspp",
        head_options={"rates": []},
        upsampler="bilinear",
        upsampler_options={"origin": "aligned"},
        classes=classes,
        mean=(0.5,) * 3,
        std=(0.5,) * 3,
    )
    network, head = model.backbone.network, model.head
    pairs = [("backbone.conv_stem", network.conv_stem, network.bn1)]
    for i, j in _units(weights):
        block, name, first = network.blocks[i][j], f"backbone.blocks.{i}.{j}", i == 0
        pairs += [(f"{name}.conv_dw", block.conv_dw, block.bn1 if first else block.bn2)]
        pairs += [(f"{name}.conv_pw", block.conv_pw, block.bn2 if first else block.bn1)]
        if not first:
            pairs += [(f"{name}.conv_pwl", block.conv_pwl, block.bn3)]
    branches = {"image_pooling": head.pooling, "aspp0": head.branches[0], "concat_projection": head.project}
    pairs += [(f"head.{name}", unit[0], unit[1]) for name, unit in branches.items()]
    with torch.no_grad():
        for name, convolution, norm in pairs:
            fold(convolution, norm, weights[f"{name}.weight"], weights[f"{name}.bias"])
        pooled_last = head.project[0].weight.roll(-head.out_channels, 1)  # the file has the pooled branch first
        head.project[0].weight.copy_(pooled_last)
        model.classifier.weight.copy_(weights["head.logits.weight"][kept])
        model.classifier.bias.copy_(weights["head.logits.bias"][kept])
    return model.eval()


def fold(convolution: nn.Conv2d, norm: nn.Module, weight: Tensor, bias: Tensor) -> None:
    """Let a convolution and the batch normalisation after it do what a convolution with a bias does."""
    convolution.weight.copy_(weight)
    norm.running_mean.zero_()
    norm.running_var.fill_(1 - norm.eps)
    norm.weight.fill_(1)
    norm.bias.copy_(bias)


def padded(image: Tensor, value: int) -> Tensor:
    """`(…, H, W)` with a row and a column more."""
    return F.pad(image, (0, 1, 0, 1), value=value)


def street_label(label: Tensor, source: ClassSet) -> Tensor:
    """Labels of CamVid as background, car, person and ignored."""
    table = torch.zeros(256, dtype=torch.uint8)
    for index, name in enumerate(CAMVID_CLASSES, 1):
        table[source.names.index(name)] = index
    table[source.names.index("Bicyclist")] = table[IGNORED] = IGNORED
    return table[label.long()]


def agreement(plain: PlainDeepLab, model: Segmenter, folder: Path | None) -> dict:
    """Classes that cover a hundredth of each photograph, and the largest difference of scores to the plain model."""
    found = {}
    for path in sorted(folder.iterdir()) if folder else []:
        with Image.open(path) as photograph:
            photograph.thumbnail((513, 513))
            pixels = np.array(photograph.convert("RGB"))
        image = torch.from_numpy(pixels).permute(2, 0, 1)[None] / 127.5 - 1
        with torch.no_grad():
            scores, expected = model(image), plain(image)
        shares = torch.bincount(scores.argmax(1).flatten(), minlength=len(VOC)) / scores[0, 0].numel()
        seen = {VOC.names[i]: round(float(share), 3) for i, share in enumerate(shares) if share >= 0.01}
        found[path.name] = {"classes": seen, "difference": float((scores - expected).abs().max())}
    return found


@torch.no_grad()
def crops(model: Segmenter, root: Path, batches: int, seed: int) -> list[tuple[Tensor, Tensor]]:
    """Maps that the frozen backbone and head give for random crops of the train split, and the labels of these."""
    dataset, random = CamVid(root, "train"), Random(seed)
    transform = TrainTransform(CROP, scale=(0.75, 1.5), mean=model.mean, std=model.std)
    found = []
    for _ in range(batches):
        samples = [dataset[random.randrange(len(dataset))] for _ in range(BATCH)]
        pairs = [transform(sample, random.getrandbits(32)) for sample in samples]
        images, labels = (torch.stack(column) for column in zip(*pairs, strict=True))
        found.append((model.head(model.backbone(images)), street_label(labels, dataset.classes)))
    return found


def model_of(arm: str, seed: int, checkpoint: Path, runs: Path) -> Segmenter:
    """The frozen model that an arm starts from, with LaU in place of bilinear upsampling where it trains that."""
    if arm == "classifier":
        return Segmenter.load(checkpoint)
    torch.manual_seed(seed)
    start = checkpoint if arm == "lau" else runs / f"classifier-{seed}.safetensors"
    return build_model(Recipe(model=with_new_upsampler(start)), STREET).eval()


def train(model: Segmenter, arm: str, maps: list[tuple[Tensor, Tensor]], steps: int, rate: float) -> list[float]:
    """Train parts of a model on the maps of crops, over and over; the losses of all steps."""
    model.freeze_except(["classifier" if arm == "classifier" else "upsampler"])
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=rate, weight_decay=0)
    schedule = torch.optim.lr_scheduler.PolynomialLR(optimizer, steps, 0.9)
    losses = []
    for step in range(steps):
        decoded, labels = maps[step % len(maps)]
        field = model.upsampler(model.classifier(decoded), decoded, CROP)
        loss = cross_entropy(field, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return losses


def trained(seed: int, checkpoint: Path, arguments: argparse.Namespace) -> dict[str, list[float]]:
    """Train all arms on the same crops, unless their files are there; the losses of the steps."""
    records = {arm: arguments.runs / f"losses-{arm}-{seed}.json" for arm in ARMS}
    maps = []
    for arm, record in records.items():
        if record.exists():
            continue
        maps = maps or crops(Segmenter.load(checkpoint), arguments.root, arguments.batches, seed)
        model = model_of(arm, seed, checkpoint, arguments.runs)
        losses = train(model, arm, maps, arguments.steps, arguments.rate)
        model.save(arguments.runs / f"{arm}-{seed}.safetensors")
        rounds = [sum(each) / len(each) for each in (losses[: len(maps)], losses[-len(maps) :])]
        print(f"seed {seed}, {arm}: loss of the first round {rounds[0]:.4f}, of the last {rounds[1]:.4f}", flush=True)
        record.write_text(json.dumps(losses))
    return {arm: json.loads(record.read_text()) for arm, record in records.items()}


@torch.no_grad()
def scored(files: dict[str, Path], root: Path) -> dict[str, ImageCounts]:
    """Counts of the test split; the models share backbone and head, which run once."""
    models = {name: Segmenter.load(file) for name, file in files.items()}
    first, *others = models.values()
    for other in others:
        check_frozen(first, other)
    dataset = CamVid(root, "test")
    transform = EvalTransform(first.mean, first.std)
    rows: dict[str, list] = {name: [] for name in models}
    for index in range(len(dataset)):
        sample = dataset[index]
        image = padded(transform(sample)[0], 0)[None]
        label = street_label(sample.label, dataset.classes)[None]
        features = first.backbone(image)
        decoded, size = first.head(features), (image.shape[2], image.shape[3])
        for name, model in models.items():
            field = model.upsampler(model.classifier(decoded), decoded, size, Guides(image, features))
            rows[name].append(count_pixels(argmax(field)[:, :-1, :-1], label, len(STREET), WIDTHS))
        if index % 20 == 0:
            print(f"scored {index + 1} of {len(dataset)}", flush=True)
    names = tuple(sample_name(dataset, index) for index in range(len(dataset)))
    return {
        name: ImageCounts(names, WIDTHS, *(np.stack(column) for column in zip(*each, strict=True)))
        for name, each in rows.items()
    }


def check_frozen(first: Segmenter, other: Segmenter) -> None:
    """Raise unless two models have the same backbone and head, to the bit."""
    own = other.state_dict()
    for name, tensor in first.state_dict().items():
        if name.startswith(("backbone.", "head.")) and not torch.equal(tensor, own[name]):
            raise RuntimeError(f"{name}: expected what is frozen to stay")


def show(report: dict) -> None:
    for entry in report["entries"]:
        print(entry["name"])
        for name, figure in {**entry["scores"], **{f"IoU {k}": v for k, v in entry["classes"].items()}}.items():
            difference = figure["difference"]
            text = ""
            if difference:
                low, high = difference["images"]
                text = f"  {100 * difference['mean']:+.2f} sd {100 * difference['sd']:.2f}"
                text += f" (images {100 * low:+.2f} … {100 * high:+.2f})"
            print(f"  {name:18}{100 * figure['mean']:7.2f}{text}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--root", type=Path, required=True, help="folder of CamVid")
    parser.add_argument("--photographs", type=Path, help="folder of photographs to predict")
    parser.add_argument("--runs", type=Path, default=Path("runs/voc_deeplab"))
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--batches", type=int, default=24, help="batches of crops, whose maps are computed once")
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    arguments = parser.parse_args()
    weights = {name: tensor.float() for name, tensor in load_file(arguments.weights).items()}
    arguments.runs.mkdir(parents=True, exist_ok=True)
    whole = converted(weights, VOC, list(range(len(VOC))))
    whole.save(arguments.runs / "voc.safetensors")
    photographs = agreement(PlainDeepLab(weights).eval(), whole, arguments.photographs)
    print(json.dumps(photographs, indent=1))
    checkpoint = arguments.runs / "street.safetensors"
    converted(weights, STREET, [0, *CAMVID_CLASSES.values()]).save(checkpoint)
    losses = {seed: trained(seed, checkpoint, arguments) for seed in arguments.seeds}
    files = {f"{arm}-{seed}": arguments.runs / f"{arm}-{seed}.safetensors" for arm in ARMS for seed in arguments.seeds}
    files = {"bilinear": checkpoint, **files}
    counts = scored(files, arguments.root)
    entries = [Entry("bilinear, as it is", [counts["bilinear"]] * len(arguments.seeds))]
    entries += [Entry(text, [counts[f"{arm}-{seed}"] for seed in arguments.seeds]) for arm, text in ARMS.items()]
    report = compare(entries, STREET, Resampling(block=10))
    fitted = compare(entries[2:], STREET, Resampling(block=10))
    show(report)
    show(fitted)
    setting = {name: getattr(arguments, name) for name in ("steps", "batches", "rate", "seeds")}
    training = setting | {"crop": CROP, "batch": BATCH, "losses": losses}
    write_result(
        "voc_deeplab",
        {"photographs": photographs, "training": training, "split": "test"} | {"report": report, "fitted": fitted},
    )


if __name__ == "__main__":
    main()
