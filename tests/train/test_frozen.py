"""Outputs of frozen parts: equal to those of a step, renewed when something changes, cropped on a grid."""

from dataclasses import replace as replaced

import pytest
import torch
from torch.utils.data import DataLoader

from offstride import create_model
from offstride.data import Sample, SampleStream, TrainingSet, TrainTransform
from offstride.data.build import build_dataset
from offstride.field import cross_entropy
from offstride.train.frozen import FrozenOutputs, frozen_key
from offstride.train.frozen_set import frozen_crops, frozen_images

SIZE = (41, 57)
KINDS = {
    "bilinear": ({}, {"scores"}),
    "lau": ({"scale": 4, "hidden": 8}, {"scores", "features"}),
    "residual": ({}, {"scores", "level1"}),
    "sapa": ({}, {"scores", "features", "level1"}),
    "joint_bilateral": ({}, {"scores"}),
    "deformable": ({}, {"scores"}),
    "pixel_shuffle": ({}, {"features"}),
}


@pytest.fixture(scope="module")
def scenes():
    return build_dataset("streets", "train", count=4, size=SIZE)


class Listed:
    """Samples as a data set."""

    def __init__(self, samples, classes):
        self.samples, self.classes = samples, classes

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, index):
        return self.samples[index]


def build(scenes, upsampler="lau", options=None, **settings):
    options = KINDS[upsampler][0] if options is None else options
    model = create_model(
        backbone="test_resnet",
        head_options={"channels": 16},
        classes=scenes.classes,
        upsampler=upsampler,
        upsampler_options=options,
        **settings,
    )
    generator = torch.Generator().manual_seed(1)
    for parameter in model.upsampler.parameters():
        parameter.data.copy_(torch.randn(parameter.shape, generator=generator) / 10)
    return model.eval()


@pytest.mark.parametrize("upsampler", KINDS)
def test_only_maps_that_are_read_are_kept(scenes, upsampler, tmp_path):
    frozen = FrozenOutputs(build(scenes, upsampler), scenes[0].image, tmp_path)
    frozen_images(frozen, scenes)
    assert frozen.names == KINDS[upsampler][1]
    assert {file.stem.split("-")[1] for file in tmp_path.iterdir()} == {"image", "label", *frozen.names}


@pytest.mark.parametrize("upsampler", KINDS)
@pytest.mark.parametrize("on_disk", [True, False])
def test_losses_and_gradients_are_those_without_a_cache(scenes, upsampler, on_disk, tmp_path):
    """To the bit for images one by one; a batch is computed in another order than its images."""
    model = build(scenes, upsampler)
    model.freeze_except(["upsampler"] if [*model.upsampler.parameters()] else [])
    frozen = FrozenOutputs(model, scenes[0].image, tmp_path if on_disk else None)
    crops = frozen_crops(frozen, scenes, SIZE, seed=3)
    plain = TrainingSet(scenes, TrainTransform(SIZE, (1, 1), mean=model.mean, std=model.std), 3)
    place = SampleStream(len(scenes), 3)
    mirrored = set()
    for step, (kept, (images, labels)) in enumerate(
        zip(DataLoader(crops, 1, sampler=place), DataLoader(plain, 1, sampler=place), strict=False)
    ):
        assert torch.equal(kept.image, images)
        assert torch.equal(kept.label, labels)
        expected = cross_entropy(model.field(images), labels)
        actual = cross_entropy(model.field_of(kept.coarse, kept.image), kept.label)
        assert torch.equal(actual, expected)
        if expected.requires_grad:
            parameters = [*model.upsampler.parameters()]
            for one, two in zip(*(torch.autograd.grad(loss, parameters) for loss in (actual, expected)), strict=True):
                assert torch.equal(one, two)
        mirrored.add(torch.equal(labels, scenes[[*zip(place, range(step + 1), strict=False)][step][0][1]].label[None]))
        if step == 7:
            break
    assert mirrored == {True, False}


def test_batches_agree_with_those_without_a_cache(scenes):
    model = build(scenes, "sapa")
    crops = frozen_crops(FrozenOutputs(model, scenes[0].image), scenes, SIZE)
    kept = next(iter(DataLoader(crops, 4, sampler=SampleStream(len(scenes), 0))))
    with torch.no_grad():
        assert torch.allclose(model.field_of(kept.coarse, kept.image).dense(), model(kept.image), atol=1e-5)


@pytest.mark.parametrize("stride", [8, 16])
@pytest.mark.parametrize(
    ("upsampler", "options", "origin"),
    [
        ("bilinear", {}, "center"),
        ("bilinear", {}, "aligned"),
        ("residual", {}, "center"),
        ("residual", {}, "aligned"),
        ("lau", {"hidden": 8}, "center"),
    ],
)
def test_the_field_of_a_crop_is_that_of_the_whole_image(scenes, upsampler, options, origin, stride):
    """Away from the crop's edges, which are farther from the middle than the upsampler sees. LaU with "aligned" is
    different: it has k·h rows of offsets for (h - 1)·k + 1 rows, a ratio that depends on the size.
    """
    model = build(scenes, upsampler, {**options, "origin": origin}, output_stride=stride)
    size = (9 * stride + 3, 12 * stride + 5)
    scene = build_dataset("streets", "train", count=1, size=size)
    frozen = FrozenOutputs(model, scene[0].image)
    n, margin = 8, 3 * stride
    crop = frozen.grid.pixels(n)
    assert frozen.grid.stride == stride
    crops = frozen_crops(frozen, scene, (crop, crop), flip=0)
    entry = crops.entries[0][0][0]
    padded = [frozen.grid.padded(length, crop) for length in size]
    assert entry.padded == tuple(padded)
    whole = torch.zeros(1, 3, *padded)
    whole[0, :, : size[0], : size[1]] = frozen_images(frozen, scene)[0].image
    with torch.no_grad():
        expected = model(whole)[0]
    places = set()
    for position in range(12):
        images, labels, coarse = next(iter(DataLoader(crops, 1, sampler=[(position, 0)])))
        assert coarse.scores.shape[2:] == (n, n)
        with torch.no_grad():
            field = model.field_of(coarse, images).dense()[0]
        y, x = place_of(images[0], whole[0], stride)
        places.add((y, x))
        inside = (slice(margin, crop - margin), slice(margin, crop - margin))
        part = expected[:, y : y + crop, x : x + crop]
        assert torch.allclose(field[:, *inside], part[:, *inside], atol=1e-5)
        valid = scene[0].label[y : y + crop, x : x + crop]
        assert torch.equal(labels[0, : valid.shape[0], : valid.shape[1]], valid)
        assert (labels[0, valid.shape[0] :] == 255).all()
        assert (labels[0, :, valid.shape[1] :] == 255).all()
    assert len(places) > 3
    assert any(y + crop > size[0] for y, _ in places)


def place_of(crop, whole, stride):
    """Where a crop lies in an image: at a multiple of the stride."""
    height, width = crop.shape[1:]
    for y in range(0, whole.shape[1] - height + 1, stride):
        for x in range(0, whole.shape[2] - width + 1, stride):
            if torch.equal(whole[:, y : y + height, x : x + width], crop):
                return y, x
    raise AssertionError("the crop is no part of the image")


def test_mirrored_images_are_computed_apart(scenes):
    model = build(scenes)
    frozen = FrozenOutputs(model, scenes[0].image)
    kept = frozen_crops(frozen, scenes, SIZE, flip=1)[0, 2]
    assert frozen.computed == len(scenes)
    assert torch.equal(kept.label, scenes[2].label.flip(-1))
    with torch.no_grad():
        expected = model.coarse(kept.image[None]).scores[0]
        turned = model.coarse(kept.image.flip(-1)[None]).scores[0].flip(-1)
    assert torch.equal(kept.coarse.scores, expected)
    assert not torch.equal(turned, expected)


def test_scales_are_drawn_from_those_that_are_kept(scenes):
    model = build(scenes)
    frozen = FrozenOutputs(model, scenes[0].image)
    crops = frozen_crops(frozen, scenes, (32, 48), scales=(1, 2), base=20, flip=0)
    sizes = [pair[0].size for pair in crops.entries[0]]
    assert sizes == [(20, 28), (40, 56)]
    kept = [crops[position, 0] for position in range(8)]
    small = [sample for sample in kept if (sample.label[20:] == 255).all()]
    assert 0 < len(small) < len(kept)
    small = small[0]
    assert (small.image[:, 20:] == 0).all()
    assert (small.label[:20, :28] != 255).any()


def test_what_is_known_is_not_computed_again(scenes, tmp_path):
    model = build(scenes)
    first = FrozenOutputs(model, scenes[0].image, tmp_path)
    frozen_crops(first, scenes, SIZE)
    again = FrozenOutputs(model, scenes[0].image, tmp_path)
    frozen_crops(again, scenes, SIZE)
    frozen_images(again, scenes)
    assert (first.computed, first.found) == (8, 0)
    assert (again.computed, again.found) == (0, 12)


def test_other_upsamplers_share_what_they_read(scenes, tmp_path):
    files = []
    torch.manual_seed(0)
    models = [build(scenes, name) for name in ("lau", "deformable", "sapa")]
    for model in models[1:]:
        for part in ("backbone", "head", "classifier"):
            getattr(model, part).load_state_dict(getattr(models[0], part).state_dict())
    for model in models:
        frozen = FrozenOutputs(model, scenes[0].image, tmp_path)
        frozen_images(frozen, scenes)
        files.append((frozen.computed, len([*tmp_path.iterdir()])))
    assert files == [(4, 16), (0, 16), (4, 20)]


def changed_weight(model):
    model.classifier.weight.data[0, 0] += 1e-3


def changed_statistics(model):
    next(value for name, value in model.named_buffers() if name.endswith("running_mean"))[0] += 1e-3


def changed_dilation(model):
    convolution = next(part for part in model.head.modules() if isinstance(part, torch.nn.Conv2d))
    convolution.dilation = convolution.padding = (2, 2)


def changed_options(model):
    model.config = replaced(model.config, head_options={**model.config.head_options, "dropout": 0.2})


@pytest.mark.parametrize("change", [changed_weight, changed_statistics, changed_dilation, changed_options])
def test_another_model_is_noticed(scenes, change, tmp_path):
    model = build(scenes)
    before = frozen_key(model)
    frozen_images(FrozenOutputs(model, scenes[0].image, tmp_path), scenes)
    change(model)
    assert frozen_key(model) != before
    again = FrozenOutputs(model, scenes[0].image, tmp_path)
    frozen_images(again, scenes)
    assert (again.computed, again.found) == (4, 0)


def test_another_upsampler_is_the_same_model(scenes):
    model = build(scenes)
    before = frozen_key(model)
    for parameter in model.upsampler.parameters():
        parameter.data += 1
    model.config = replaced(model.config, upsampler="sapa", upsampler_options={})
    assert frozen_key(model) == before


@pytest.mark.parametrize("part", ["image", "label", "mean", "std"])
def test_another_image_or_preprocessing_is_noticed(scenes, part, tmp_path):
    model = build(scenes)
    frozen_images(FrozenOutputs(model, scenes[0].image, tmp_path), scenes)
    samples, options = [*scenes], {}
    if part in ("mean", "std"):
        options[part] = (0.4, 0.45, 0.5)
    else:
        image, label = samples[1].image.clone(), samples[1].label.clone()
        (image[0] if part == "image" else label)[5, 6] ^= 1
        samples[1] = Sample(image, label, samples[1].name)
    again = FrozenOutputs(model, samples[0].image, tmp_path, **options)
    kept = frozen_images(again, Listed(samples, scenes.classes))
    assert again.computed == (1 if part in ("image", "label") else 4)
    with torch.no_grad():
        assert torch.equal(kept[1].coarse.scores, model.coarse(kept[1].image[None]).scores[0])
    assert torch.equal(kept[1].label, samples[1].label)


def test_modes_and_gradients_are_left_as_they_were(scenes):
    model = build(scenes).train()
    statistics = {name: value.clone() for name, value in model.named_buffers()}
    frozen = FrozenOutputs(model, scenes[0].image)
    kept = frozen_images(frozen, scenes)[0]
    assert all(module.training for module in model.modules())
    assert all(torch.equal(value, statistics[name]) for name, value in model.named_buffers())
    assert not kept.coarse.scores.requires_grad
    assert all(parameter.grad is None for parameter in model.parameters())


def test_maps_off_the_grid_are_refused(scenes):
    model = build(scenes, "bilinear")
    model.head.register_forward_hook(lambda module, inputs, output: output[:, :, 1:])
    frozen = FrozenOutputs(model, scenes[0].image)
    with pytest.raises(ValueError, match="crop: expected the size of the image, since the scores of this model are"):
        frozen_crops(frozen, scenes, (32, 32))
    frozen_crops(frozen, scenes, SIZE)
