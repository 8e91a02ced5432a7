import pytest
import timm
import torch
from safetensors.torch import save_file

from offstride.backbones import Backbone, load_backbone_weights

# names as in the full model, with the first level of nesting flattened, behind a wrapper
NETWORKS = [("test_efficientnet", 32), ("test_convnext", 32), ("test_vit", 16)]


def stored(model):
    """A file's tensors: kernels in half precision, no batch counters."""
    state = model.state_dict().items()
    return {
        name: tensor.half() if tensor.ndim > 1 else tensor.clone()
        for name, tensor in state
        if not name.endswith("num_batches_tracked")
    }


@pytest.fixture
def network():
    return timm.create_model("test_resnet", features_only=True)


@pytest.fixture
def tensors():
    return stored(timm.create_model("test_resnet"))


@pytest.mark.parametrize(("name", "stride"), NETWORKS)
def test_features_are_those_of_the_full_model(tmp_path, name, stride):
    full = timm.create_model(name, num_classes=7).eval()
    tensors = stored(full)
    save_file(tensors, tmp_path / "weights.safetensors")
    full.load_state_dict(tensors, strict=False)
    backbone = Backbone(name, output_stride=stride, pretrained=tmp_path / "weights.safetensors").eval()
    images = torch.randn(1, 3, *full.pretrained_cfg["input_size"][1:])
    with torch.no_grad():
        expected = full.forward_intermediates(images, intermediates_only=True)[-1]
        torch.testing.assert_close(backbone(images)[-1], expected)
    assert all(parameter.dtype == torch.float32 for parameter in backbone.parameters())


def test_metadata_comes_back(tmp_path, network, tensors):
    save_file(tensors, tmp_path / "w.safetensors", metadata={"mean": "0.5", "source": "here"})
    assert load_backbone_weights(network, tmp_path / "w.safetensors", {"fc.weight", "fc.bias"})["source"] == "here"


def test_colours_come_from_the_file(tmp_path, tensors):
    save_file(tensors, tmp_path / "w.safetensors", metadata={"mean": "0.5", "std": "0.1,0.2,0.3"})
    backbone = Backbone("test_resnet", pretrained=str(tmp_path / "w.safetensors"))
    assert (backbone.mean, backbone.std) == ((0.5, 0.5, 0.5), (0.1, 0.2, 0.3))


def test_colours_are_timms_where_the_file_has_none(tmp_path, tensors):
    save_file(tensors, tmp_path / "w.safetensors", metadata={"mean": "0.4"})
    published = timm.get_pretrained_cfg("test_resnet")
    backbone = Backbone("test_resnet", pretrained=tmp_path / "w.safetensors")
    assert (backbone.mean, backbone.std) == (published.mean, published.std)


@pytest.mark.parametrize("text", ["grey", "0.5,0.5", ""])
def test_colours_must_be_numbers(tmp_path, tensors, text):
    save_file(tensors, tmp_path / "w.safetensors", metadata={"mean": text, "std": "1"})
    with pytest.raises(ValueError, match=r"w\.safetensors: expected one or three numbers as mean, got"):
        Backbone("test_resnet", pretrained=tmp_path / "w.safetensors")


def drop_kernel(tensors):
    del tensors["layer2.0.conv1.weight"]


def add_norm(tensors):
    tensors["layer1.0.bn9.weight"] = torch.ones(3)


def reshape_kernel(tensors):
    tensors["conv1.0.weight"] = torch.zeros(2, 3, 1, 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (drop_kernel, r"1 missing \(layer2\.0\.conv1\.weight\)"),
        (add_norm, r"1 unexpected \(layer1\.0\.bn9\.weight\)"),
        (reshape_kernel, r"1 of another shape \(conv1\.0\.weight \(2, 3, 1, 1\) instead of"),
    ],
)
def test_what_does_not_fit_is_named_and_nothing_is_loaded(tmp_path, network, tensors, change, message):
    change(tensors)
    save_file(tensors, tmp_path / "w.safetensors")
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(ValueError, match=rf"w\.safetensors do not fit the network: {message}"):
        load_backbone_weights(network, tmp_path / "w.safetensors", {"fc.weight", "fc.bias"})
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=0)


def test_weights_of_another_network_are_refused_in_few_words(tmp_path, tensors):
    save_file(tensors, tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match=r"\d+ missing \(.*, …\); \d+ unexpected \(.*, …\)") as error:
        Backbone("test_efficientnet", pretrained=tmp_path / "w.safetensors")
    assert len(str(error.value)) < 1000


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 something else", b"\xff" * 100])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "w.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=r"w\.safetensors: expected a safetensors file"):
        Backbone("test_resnet", pretrained=path)


def test_a_truncated_file_is_refused(tmp_path, tensors):
    path = tmp_path / "w.safetensors"
    save_file(tensors, path)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(ValueError, match=r"w\.safetensors: expected a safetensors file"):
        Backbone("test_resnet", pretrained=path)
