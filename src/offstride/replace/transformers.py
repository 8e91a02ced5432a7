"""Models of transformers for semantic segmentation.

Most of them return coarse scores as `logits`, which the caller interpolates; that stays so, see `ReplacedTransformers`.
"""

from collections.abc import Sequence
from typing import Any, Literal, get_args

from torch import Tensor, nn
from transformers.modeling_outputs import SemanticSegmenterOutput
from transformers.models.auto.modeling_auto import MODEL_FOR_SEMANTIC_SEGMENTATION_MAPPING_NAMES
from transformers.models.upernet.modeling_upernet import UperNetForSemanticSegmentation

from offstride.field import LogitField, cross_entropy
from offstride.models import Decoded
from offstride.replace.anatomy import Anatomy, Interpolation, dissect, last_convolution, upsample_at
from offstride.replace.replaced import ReplacedModel
from offstride.replace.surgery import Passing

Output = Literal["original", "image"]

_HEADS = ("decode_head", "segmentation_head", "head", "decoder")


class CoarseUperNet(UperNetForSemanticSegmentation):
    """UperNet without its interpolation."""

    def forward(self, pixel_values: Tensor, **kwargs: Any) -> SemanticSegmenterOutput:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Returns a joint map as `logits`."""
        kwargs.pop("return_dict", None)
        for name in ("output_hidden_states", "output_attentions"):
            if kwargs.get(name) is None:
                kwargs[name] = getattr(self.config, name)
        outputs = self.backbone.forward_with_filtered_kwargs(pixel_values, **kwargs)
        if self.auxiliary_head is not None:
            self.auxiliary_head(outputs.feature_maps)
        return SemanticSegmenterOutput(
            logits=self.decode_head(outputs.feature_maps),  # pyright: ignore[reportArgumentType]
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )


class ReplacedTransformers(ReplacedModel):
    """Returns a `SemanticSegmenterOutput`.

    `logits` have the size of the original's. Coarse ones are the classifier's scores: they equal the original's, no
    matter how the upsampler is trained. The upsampler acts on `field`, on the `loss` (with `labels`), and on `logits`
    if `output` is `"image"`: then they are rendered at the size of the images.

    Attributes:
        output: `"original"` or `"image"`.
    """

    accepts_loss_kwargs = False  # read by Trainer: the loss is a mean, as in the originals

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._output: Output = "original"

    @property
    def output(self) -> Output:
        """See the class."""
        return self._output

    @output.setter
    def output(self, value: Output) -> None:
        if value not in get_args(Output):
            raise ValueError(f"output: expected one of {get_args(Output)}, got {value!r}")
        self._output = value

    @property
    def config(self) -> Any:
        """The configuration of the original."""
        return self.model.config

    def decode(self, images: Tensor, size: tuple[int, int] | None = None, **kwargs: Any) -> Decoded:
        """See `ReplacedModel.decode`; further arguments go to the model."""
        output, auxiliary = self._run(images, kwargs)
        fields = {f"auxiliary_{i}": self._auxiliary(scores, images, size) for i, scores in enumerate(auxiliary)}
        return Decoded(self._field(output.logits, images, size), fields)

    def field(self, images: Tensor, size: tuple[int, int] | None = None, **kwargs: Any) -> LogitField:
        """See `ReplacedModel.field`; further arguments go to the model."""
        return self._field(self.model(images, return_dict=True, **kwargs).logits, images, size)

    def forward(self, pixel_values: Tensor, labels: Tensor | None = None, **kwargs: Any) -> Any:
        """As the original; all arguments but these two are keyword arguments.

        The loss with `labels` is the original's: cross-entropy at the size of the labels, and of the auxiliary head
        times its weight. It is computed without full-resolution scores. A batch without a valid pixel gives 0 where the
        original's mean gives NaN.
        """
        return_dict = kwargs.pop("return_dict", None)
        output, auxiliary = self._run(pixel_values, kwargs, auxiliary=labels is not None)
        loss = None if labels is None else self._loss(output.logits, auxiliary, pixel_values, labels)
        rest = {name: value for name, value in output.items() if name not in ("loss", "logits")}
        result = type(output)(loss=loss, logits=self._logits(output.logits, pixel_values), **rest)
        as_dict = self.config.return_dict if return_dict is None else return_dict
        return result if as_dict else result.to_tuple()

    def _run(self, images: Tensor, kwargs: dict[str, Any], auxiliary: bool = True) -> tuple[Any, Sequence[Tensor]]:
        """The output of the model, with a joint map as logits, and the scores of its auxiliary head."""
        head, seen = getattr(self.model, "auxiliary_head", None), []
        if head is None or not auxiliary:
            return self.model(images, return_dict=True, **kwargs), seen
        handle = head.register_forward_hook(lambda module, inputs, output: seen.append(output))
        try:
            output = self.model(images, return_dict=True, **kwargs)
            if not seen:
                raise RuntimeError("the auxiliary head was not called")
            return output, seen
        finally:
            handle.remove()

    def _logits(self, joint: Tensor, images: Tensor) -> Tensor:
        if self.coarse and self.output == "original":
            return joint[:, : self.classes]
        size = (images.shape[2], images.shape[3]) if self.output == "image" else None
        return self._field(joint, images, size).dense()

    def _loss(self, joint: Tensor, auxiliary: Sequence[Tensor], images: Tensor, labels: Tensor) -> Tensor:
        if self.classes == 1:
            raise ValueError("labels: expected two classes or more for the loss; use `field` for a loss of your own")
        size = (labels.shape[-2], labels.shape[-1])
        ignored = getattr(self.config, "semantic_loss_ignore_index", None)
        ignored = getattr(self.config, "loss_ignore_index", 255) if ignored is None else ignored
        loss = cross_entropy(self._field(joint, images, size), labels, ignore_index=ignored)
        for scores in auxiliary:
            term = cross_entropy(self._auxiliary(scores, images, size), labels, ignore_index=ignored)
            loss = loss + self.config.auxiliary_loss_weight * term
        return loss


def find(model: nn.Module, classifier: str | None, upsampling: str | None) -> Anatomy:
    """Anatomy of a model of transformers.

    Raises:
        ValueError: If it is no model for semantic segmentation by dense scores, or has no classifier at this path.
    """
    name = type(model).__name__
    known = sorted(MODEL_FOR_SEMANTIC_SEGMENTATION_MAPPING_NAMES.values())
    if name not in known:
        raise ValueError(
            f"model: expected one of transformers for semantic segmentation ({', '.join(known)}), got {name}"
        )
    path = classifier or _classifier(model)
    where = upsampling or _following(model, path)
    interpolation, changes, coarse = Interpolation(), {}, False
    if where is not None:
        interpolation, changes = upsample_at(model, where), {where: Passing}
    elif isinstance(model, UperNetForSemanticSegmentation):
        changes = {"": CoarseUperNet}
    else:
        text = "none: its logits are coarse, and the loss or the caller interpolates (align_corners=False)"
        interpolation, coarse = Interpolation(text), True
    return dissect(model, f"transformers {name}", path, interpolation, changes, ReplacedTransformers, coarse)


def _classifier(model: nn.Module) -> str:
    heads = [name for name in _HEADS if isinstance(getattr(model, name, None), nn.Module)]
    if not heads:
        children = ", ".join(name for name, _ in model.named_children())
        raise ValueError(f"classifier: expected a head among {', '.join(_HEADS)}; the model has {children}")
    config: Any = model.config
    return last_convolution(model, heads[0], config.num_labels)


def _following(model: nn.Module, classifier: str) -> str | None:
    """Path of an `nn.Upsample` behind the classifier in the same sequence."""
    parent, _, name = classifier.rpartition(".")
    sequence = model.get_submodule(parent)
    if not isinstance(sequence, nn.Sequential):
        return None
    names = list(sequence._modules)
    later = [n for n in names[names.index(name) + 1 :] if isinstance(sequence._modules[n], nn.Upsample)]
    return f"{parent}.{later[0]}" if later else None
