"""The training step's surroundings: seeds of dropout, the limit of the gradient, the images of the validation."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from offstride.train import build_model, build_split
from offstride.train.module import SegmentationModule


def module_of(recipe, model=None):
    train_set, val_set = build_split(recipe.data, "train"), build_split(recipe.data, "val")
    return SegmentationModule(model or build_model(recipe, train_set.classes), recipe, train_set, val_set)


def test_dropout_follows_from_seed_step_and_process(recipe, change):
    class Placed(SegmentationModule):
        global_step = property(lambda self: place[0])
        global_rank = property(lambda self: place[1])

    def drawn(seed, step, rank):
        nonlocal place
        place = (step, rank)
        module.recipe = change(recipe, "schedule", seed=seed)
        module.on_train_batch_start((), 0)  # type: ignore[arg-type]
        return tuple(torch.rand(3).tolist())

    place = (0, 0)
    module = module_of(recipe)
    module.__class__ = Placed
    cases = [(seed, step, rank) for seed in (0, 1) for step in (0, 1, 2) for rank in (0, 1)]
    assert len({drawn(*case) for case in cases}) == len(cases)
    assert [drawn(*case) for case in cases] == [drawn(*case) for case in cases]


@pytest.mark.parametrize("limit", [0.25, 0.0])
def test_the_norm_of_the_whole_gradient_is_limited(recipe, change, limit):
    module = module_of(change(recipe, "optimizer", clip=limit))
    parameters = dict(module.model.named_parameters())
    before = {name: torch.randn_like(parameter) for name, parameter in parameters.items()}
    for name, parameter in parameters.items():
        parameter.grad = before[name].clone()
    norm = sum(float(gradient.double().square().sum()) for gradient in before.values()) ** 0.5
    module.on_before_optimizer_step(None)  # type: ignore[arg-type]
    for name, parameter in parameters.items():
        torch.testing.assert_close(parameter.grad, before[name] * (limit / norm if limit else 1))


def test_validation_sees_whole_images_by_the_normalisation_of_the_model(recipe):
    model = build_model(recipe, build_split(recipe.data, "val").classes)
    mean, std = (0.1, 0.2, 0.3), (0.4, 0.5, 0.6)
    model.config = replace(model.config, mean=mean, std=std)
    module = module_of(recipe, model)
    module.trainer = SimpleNamespace(world_size=2, global_rank=0)  # type: ignore[assignment]
    batches = list(module.val_dataloader())
    assert len(batches) == 2  # of three images, those of one of two processes
    for (image, label), index in zip(batches, (0, 2), strict=True):
        sample = module.val_set[index]
        scale = [torch.tensor(values)[:, None, None] for values in (mean, std)]
        torch.testing.assert_close(image[0], (sample.image / 255 - scale[0]) / scale[1], rtol=1e-4, atol=1e-5)
        assert torch.equal(label[0], sample.label)
