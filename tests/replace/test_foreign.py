"""Models of other libraries by name: what is known of them, their output, their files."""

import json
import re
import shutil

import huggingface_hub
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from families import FAMILIES, size_of
from foreign_models import LABELS, MAKERS, smp_folder, torchvision_file, transformers_folder
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torchvision.models import get_model_weights

from offstride import Segmenter, create_model, open_model
from offstride.data import ClassSet
from offstride.field import argmax, cross_entropy
from offstride.models import complexity
from offstride.models.checkpoint import write_checkpoint
from offstride.replace import ForeignSegmenter
from offstride.replace.named import library
from offstride.upsamplers.render import render

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::FutureWarning")]


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Reference and original by library."""
    return {name: make(tmp_path_factory.mktemp(name)) for name, make in MAKERS.items()}


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    """Whatever is opened here is local: a download would fail."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr("offstride.replace.named.torchvision.reachable", lambda url: False)


def scores_of(original, images):
    """Full-resolution scores, as each library has them."""
    output = original(images)
    scores = output["out"] if isinstance(output, dict) and "out" in output else getattr(output, "logits", output)
    return F.interpolate(scores, images.shape[2:], mode="bilinear", align_corners=False)


@pytest.mark.parametrize("name", MAKERS)
@torch.no_grad()
def test_scores_are_the_originals(models, name):
    reference, original = models[name]
    images = torch.randn(2, 3, 96, 64, generator=torch.Generator().manual_seed(1))
    model = open_model(reference)
    assert not model.training
    expected = scores_of(original, images)
    torch.testing.assert_close(model(images), expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max()))
    assert torch.equal(argmax(model.field(images)), model(images).argmax(1).to(torch.uint8))


def test_what_is_known_comes_from_the_library(models):
    imagenet = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    torchvision, smp, transformers = (open_model(models[name][0]) for name in ("torchvision", "smp", "transformers"))
    assert (torchvision.mean, torchvision.std) == imagenet
    assert (transformers.mean, transformers.std) == (pytest.approx(imagenet[0]), pytest.approx(imagenet[1]))
    assert (smp.mean, smp.std) == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))  # of timm's test_resnet
    assert transformers.classes.names == tuple(LABELS)
    assert torchvision.classes is smp.classes is None
    assert [model.config.classes for model in (torchvision, smp, transformers)] == [5, 4, 5]
    assert [model.config.output_stride for model in (torchvision, smp, transformers)] == [8, 4, 4]


def test_what_is_given_replaces_it(models, tmp_path):
    (tmp_path / "classes.yaml").write_text("classes: [a, b, c, d, e]")
    given = {"mean": (0.1, 0.2, 0.3), "std": (0.4, 0.5, 0.6), "classes": tmp_path / "classes.yaml"}
    model = open_model(models["transformers"][0], **given)
    assert (model.mean, model.std, model.classes.names) == (given["mean"], given["std"], tuple("abcde"))
    assert open_model(models["smp"][0], classes=["a", "b", "c", "d"]).classes == ClassSet(tuple("abcd"))


def test_processors_are_read_as_they_work(tmp_path):
    """The network gets what its processor gives for the same pixels: other factors, no mean, blue first."""
    pixels = np.random.default_rng(0).integers(0, 256, (3, 64, 64), np.uint8)
    for number, options in enumerate(
        (
            {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6], "rescale_factor": 1 / 127.5},
            {"do_normalize": False},
            {"do_rescale": False, "image_mean": [10.0, 20.0, 30.0], "image_std": [40.0, 50.0, 60.0]},
        )
    ):
        reference, _ = transformers_folder(tmp_path / str(number), **options)
        model = open_model(reference)
        mean, std = (np.array(values)[:, None, None] for values in (model.mean, model.std))
        expected = pixels * options.get("rescale_factor", 1 / 255 if options.get("do_rescale", True) else 1)
        if options.get("do_normalize", True):
            place = (slice(None), None, None)
            expected = (expected - np.array(options["image_mean"])[place]) / np.array(options["image_std"])[place]
        np.testing.assert_allclose((pixels / 255 - mean) / std, expected, rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_networks_that_read_blue_first_get_it_first(tmp_path):
    folder = tmp_path / "bgr"
    reference, original = transformers_folder(folder, "transformers mobilevit", processor=False)
    processor = {"image_processor_type": "MobileViTImageProcessor", "do_flip_channel_order": True}
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    model, images = open_model(reference), torch.rand(1, 3, 64, 64)
    assert (model.mean, model.std, model.config.reversed) == ((0.0,) * 3, (1.0,) * 3, True)
    torch.testing.assert_close(model(images), scores_of(original, images.flip(1)), rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_networks_that_take_multiples_only_get_images_that_are_padded(models):
    """Scores of the image are those of the padded image, in its top left."""
    reference, original = models["smp"]
    model, images = open_model(reference), torch.randn(1, 3, 45, 70)
    with pytest.raises(RuntimeError, match="divisible by 32"):
        original(images)
    padded = F.pad(images, (0, 26, 0, 19), mode="replicate")
    expected = original(padded)[..., :45, :70]
    field = model.field(images)
    torch.testing.assert_close(field.dense(), expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(render(field), expected, rtol=1e-4, atol=1e-4)
    assert torch.equal(argmax(field), expected.argmax(1).to(torch.uint8))
    torch.testing.assert_close(field.confidence(), expected.softmax(1).amax(1), rtol=1e-4, atol=1e-4)
    labels = torch.randint(0, 4, (1, 45, 70))
    torch.testing.assert_close(cross_entropy(field, labels), F.cross_entropy(expected, labels), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", MAKERS)
def test_a_file_gives_the_same_to_the_bit(models, name, tmp_path):
    options = {"hidden": 8}
    torch.manual_seed(0)
    model = open_model(models[name][0]).with_upsampler("lau", options)
    for parameter in model.upsampler.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    model.save(tmp_path / "m.safetensors")
    loaded = open_model(tmp_path / "m.safetensors")
    assert isinstance(loaded, ForeignSegmenter)
    assert (loaded.config, loaded.classes) == (model.config, model.classes)
    assert loaded.config.upsampler == "lau"
    assert loaded.config.upsampler_options["hidden"] == 8
    images = torch.randn(1, 3, 70, 45)
    with torch.no_grad():
        assert torch.equal(loaded(images), model(images))


def test_a_file_holds_no_place_of_this_machine(models, tmp_path):
    for name in MAKERS:
        open_model(models[name][0]).save(tmp_path / "m.safetensors")
        with safe_open(tmp_path / "m.safetensors", "pt") as file:
            assert "/" not in json.loads(file.metadata()["offstride"])["config"]["architecture"].__repr__()


@pytest.mark.parametrize("name", [name for name in FAMILIES if not name.startswith("torchvision")])
def test_every_family_opens_and_comes_back_from_a_file(name, tmp_path):
    maker = smp_folder if name.startswith("smp") else transformers_folder
    reference, _ = maker(tmp_path / "model", name)
    H, W = size_of(name)
    model = open_model(reference, mean=(0.5,) * 3, std=(0.2,) * 3, example=(1, 3, H, W))
    model.save(tmp_path / "m.safetensors")
    shutil.rmtree(tmp_path / "model")
    images = torch.randn(1, 3, H, W)
    with torch.no_grad():
        assert torch.equal(open_model(tmp_path / "m.safetensors")(images), model(images))


def test_auxiliary_classifiers_come_along(tmp_path):
    name = "deeplabv3_mobilenet_v3_large"
    reference, original = torchvision_file(tmp_path / "d.safetensors", name, classes=3, aux_loss=True)
    model, images = open_model(reference), torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        auxiliary = model.decode(images).auxiliary["aux"].dense()
        torch.testing.assert_close(auxiliary, original(images)["aux"], rtol=1e-4, atol=1e-4)
    parts = {model.part_of(name) for name, _ in model.named_parameters()}
    assert parts == {"backbone", "head", "auxiliary"}
    counted = complexity(model, (64, 64))
    own = [p for name, p in original.named_parameters() if not name.startswith("aux_classifier")]
    assert counted.parameters == sum(parameter.numel() for parameter in own)


def test_another_upsampler_leaves_the_rest(models):
    model = open_model(models["smp"][0])
    other = model.with_upsampler("lau")
    assert (model.config.upsampler, other.config.upsampler) == ("bilinear", "lau")
    assert other.config.upsampler_options["origin"] == "aligned"
    assert other.replaced.model is model.replaced.model
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(other(images), model(images), rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match="upsampler: expected one of"):
        model.with_upsampler("nothing")


def test_only_the_upsampler_is_trained_where_the_rest_is_frozen(models):
    model = open_model(models["transformers"][0]).with_upsampler("lau")
    model.freeze_except(["upsampler"])
    model.train()
    model.train_only(["upsampler"])
    learning = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert learning == {f"replaced.upsampler.{name}" for name, _ in model.upsampler.named_parameters()}
    assert model.upsampler.training
    assert not model.backbone.training
    roles = {role.name: role for role in model.parameter_roles()}
    assert {roles[name].part for name in learning} == {"head"}
    assert "offset" in {roles[name].kind for name in learning}
    with pytest.raises(ValueError, match="expected some of backbone, head, auxiliary, upsampler, got fusion"):
        model.freeze_except(["fusion"])


def test_own_loader_names_what_opens_the_file(models, tmp_path):
    open_model(models["smp"][0]).save(tmp_path / "m.safetensors")
    with pytest.raises(ValueError, match=r"m\.safetensors: holds a smp FPN model: offstride\.open_model opens it$"):
        Segmenter.load(tmp_path / "m.safetensors")


def test_a_missing_package_is_named(models, tmp_path, monkeypatch):
    open_model(models["smp"][0]).save(tmp_path / "m.safetensors")
    monkeypatch.setitem(__import__("sys").modules, "segmentation_models_pytorch", None)
    said = "needs the package segmentation_models_pytorch: pip install segmentation-models-pytorch"
    for reference in (tmp_path / "m.safetensors", "smp:anything"):
        with pytest.raises(ValueError, match=said):
            open_model(reference)


def test_files_run_no_code_and_name_no_other_class(models, tmp_path):
    model = open_model(models["smp"][0])
    for name, values in (
        ("smp", {"class": "encoders", "config": {}}),
        ("transformers", {"class": "AutoModel", "config": {}}),
        ("torchvision", {"builder": "resnet50", "num_classes": 4}),
    ):
        config = type(model.config).from_dict({**model.config.to_dict(), "library": name, "architecture": values})
        write_checkpoint(tmp_path / "m.safetensors", model.stored_tensors(), config, None)
        with pytest.raises(ValueError, match=r"m\.safetensors: (smp|transformers|torchvision): expected"):
            open_model(tmp_path / "m.safetensors")
    config = type(model.config).from_dict({**model.config.to_dict(), "library": "os"})
    write_checkpoint(tmp_path / "m.safetensors", model.stored_tensors(), config, None)
    with pytest.raises(ValueError, match="library: expected one of torchvision, transformers, smp, got 'os'"):
        open_model(tmp_path / "m.safetensors")


def test_ours_open_as_before(tmp_path):
    model = create_model(backbone="test_resnet", head_options={"channels": 16}, classes=3).eval()
    model.save_pretrained(tmp_path / "hub")
    images = torch.randn(1, 3, 40, 33)
    for reference in (tmp_path / "hub" / "model.safetensors", tmp_path / "hub", f"hub:{tmp_path / 'hub'}"):
        opened = open_model(reference, classes=["a", "b", "c"])
        assert isinstance(opened, Segmenter)
        assert opened.classes.names == ("a", "b", "c")
        with torch.no_grad():
            assert torch.equal(opened(images), model(images))
    with pytest.raises(ValueError, match="classes: expected 2, the model has 3"):
        open_model(tmp_path / "hub", classes=["a", "b"])
    with pytest.raises(ValueError, match="mean, std: expected for models of torchvision, transformers, smp alone"):
        open_model(tmp_path / "hub", mean=(0, 0, 0), std=(1, 1, 1))


def test_a_state_with_its_wrapper_and_without_counters_is_taken(tmp_path):
    reference, original = torchvision_file(tmp_path / "m.pth")
    state = {name: value for name, value in original.state_dict().items() if "num_batches" not in name}
    torch.save({"model": state, "epoch": 3}, tmp_path / "m.pth")
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(open_model(reference)(images), original(images)["out"], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("weights", ["", "@DEFAULT", "@COCO_WITH_VOC_LABELS_V1", "@{file}"])
def test_published_weights_come_from_the_cache_with_their_classes(tmp_path, monkeypatch, weights):
    name = "lraspp_mobilenet_v3_large"
    published = get_model_weights(name).DEFAULT
    (tmp_path / "checkpoints").mkdir()
    file = tmp_path / "checkpoints" / published.url.rpartition("/")[2]
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    _, original = torchvision_file(file, name, classes=21)
    model = open_model(f"torchvision:{name}{weights.format(file=file)}")
    assert model.classes.names == tuple(published.meta["categories"])
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(model(images), original(images)["out"], rtol=1e-4, atol=1e-4)


class Payload:
    """Unpickling it would call a function."""

    def __reduce__(self):
        return print, ("called",)


def wrong_references(folder):
    """References that cannot be opened, by what is said of them."""
    smp_folder(folder / "unet_free")
    transformers_folder(folder / "plain", processor=False)
    transformers_folder(folder / "short")
    state = torch.load(torchvision_file(folder / "m.pth")[0].partition("@")[2], weights_only=True)
    save_file({k: v for k, v in state.items() if not k.startswith("classifier")}, folder / "headless.safetensors")
    torch.save(Payload(), folder / "code.pth")
    torch.save([1, 2], folder / "list.pth")
    short = folder / "short" / "model.safetensors"
    weights = load_file(short)
    del weights["decode_head.classifier.weight"]
    save_file(weights, short, metadata={"format": "pt"})
    return {
        "nonsense:model": "model: expected a model file (.safetensors)",
        "torchvision:": "model: expected a name behind torchvision:",
        "torchvision:deeplab": "torchvision: expected one of deeplabv3_mobilenet_v3_large",
        "torchvision:fcn_resnet50@IMAGENET": "fcn_resnet50: expected DEFAULT, COCO_WITH_VOC_LABELS_V1 or a file",
        f"torchvision:lraspp_mobilenet_v3_large@{folder}/headless.safetensors": "do not fit lraspp_mobilenet_v3_large",
        f"torchvision:fcn_resnet50@{folder}/m.pth": "do not fit fcn_resnet50: ",
        f"torchvision:fcn_resnet50@{folder}/code.pth": "code.pth: expected tensors by name",
        f"torchvision:fcn_resnet50@{folder}/list.pth": "list.pth: expected tensors by name, got list",
        "torchvision:fcn_resnet50": "cannot be downloaded (no network?); give a local file: torchvision:fcn_resnet50@",
        "transformers:nobody/nothing": "cannot be downloaded (no network?); give a local folder: transformers:FOLDER",
        "smp:nobody/nothing": "cannot be downloaded (no network?); give a local folder: smp:FOLDER",
        "hub:nobody/nothing": "cannot be downloaded (no network?); give a local file or folder",
        f"transformers:{folder}/plain": "its normalisation is not known, it has no preprocessor_config.json",
        f"transformers:{folder}/short": "the weights do not fit, 1 are missing (decode_head.classifier.weight",
        f"transformers:{folder}": "cannot be opened",
        f"smp:{folder}": "cannot be opened",
    }


def test_wrong_references_are_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "cache"))
    for reference, said in wrong_references(tmp_path).items():
        with pytest.raises(ValueError, match=re.escape(said)):
            open_model(reference)
    assert "called" not in capsys.readouterr().out


def test_models_for_other_images_or_one_class_are_refused(tmp_path):
    import segmentation_models_pytorch as smp

    tiny = {"encoder_name": "tu-test_resnet", "encoder_weights": None, "decoder_pyramid_channels": 16}
    smp.FPN(in_channels=1, classes=3, **tiny).save_pretrained(tmp_path / "grey")
    smp.FPN(classes=1, **tiny).save_pretrained(tmp_path / "single")
    smp.Unet("tu-test_resnet", encoder_weights=None, encoder_depth=3, decoder_channels=(8, 8, 8)).save_pretrained(
        tmp_path / "unet"
    )
    for name, said in {
        "grey": "expected a model for RGB images, got one for 1 channels",
        "single": "expected a model of two classes or more, got 1",
        "unet": "nothing is left to replace",
    }.items():
        with pytest.raises(ValueError, match=said):
            open_model(f"smp:{tmp_path / name}")
    with pytest.raises(ValueError, match="classes: expected 4 as the model has, got 2"):
        open_model(smp_folder(tmp_path / "fpn")[0], classes=["a", "b"])


def test_fixed_sizes_are_named_with_the_way_out(tmp_path):
    reference, _ = transformers_folder(tmp_path / "dpt", "transformers dpt", processor=False)
    model = open_model(reference, mean=(0.5,) * 3, std=(0.5,) * 3, example=(1, 3, 64, 64))
    assert model(torch.randn(1, 3, 64, 64)).shape == (1, 5, 64, 64)
    with pytest.raises(ValueError, match=r"does not take 64×96 pixels .*in windows of it \(--sliding H W\)$"):
        model(torch.randn(1, 3, 64, 96))
    assert model.predict(np.zeros((70, 90, 3), np.uint8), sliding=(64, 64)).shape == (70, 90)


def test_every_library_is_known():
    assert {name.partition(" ")[0] for name in FAMILIES} == {"torchvision", "smp", "transformers"}
    assert all(library(name).load for name in ("torchvision", "smp", "transformers"))
