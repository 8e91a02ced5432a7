"""Model cards: what a model is, how to use it, and the table of its scores."""

from collections.abc import Mapping
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from offstride.data.catalog import ClassSet
from offstride.models.config import ModelConfig

_METRICS = {"miou": "mean IoU", "boundary_iou": "mean boundary IoU", "pixel_accuracy": "pixel accuracy"}


def model_card(config: ModelConfig, classes: ClassSet | None, name: str, scores: Mapping[str, Any] | None) -> str:
    """Markdown with the metadata that the Hub reads.

    Args:
        config: The model.
        classes: Its classes, if known.
        name: Name of the model: the repository, or the folder.
        scores: `Evaluation.to_dict()`, or the same from a file; the entry `dataset` names the data set.

    Raises:
        ValueError: If the scores are not those of an evaluation.
    """
    parts = [f"# {name}", _summary(config), _usage(name)]
    if classes is not None:
        parts.append(f"## Classes\n\n{', '.join(classes.names)}")
    if scores is not None:
        parts.append(f"## Scores\n\n{_table(scores)}")
    body = "\n\n".join(parts)
    return f"---\n{_data(config, name, scores).to_yaml()}\n---\n\n{body}\n"


def _summary(config: ModelConfig) -> str:
    kind = f"`{config.head}`" + (f" with `{config.fusion}`" if config.fusion else "")
    return (
        f"Semantic segmentation with Offstride: backbone `{config.backbone}` at output "
        f"stride {config.output_stride}, head {kind}, upsampler `{config.upsampler}`, {config.classes} classes."
    )


def _usage(name: str) -> str:
    return f"""## Use

```python
from offstride import Segmenter
model = Segmenter.from_pretrained("{name}")
labels = model.predict("image.jpg")  # (H, W) class indices
```"""


def _table(scores: Mapping[str, Any]) -> str:
    try:
        rows = [
            f"| {name} | {_percent(row['iou'])} | {_percent(row['boundary_iou'])} | {_percent(row['accuracy'])} |"
            for name, row in scores["classes"].items()
        ]
        means = [scores[name] for name in ("miou", "boundary_iou", "mean_accuracy")]
        images = scores["images"]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"scores: expected those of an evaluation (offstride evaluate --json), lacking {error}"
        ) from error
    mean = f"| **mean** | {' | '.join(map(_percent, means))} |"
    head = "| class | IoU | boundary IoU | accuracy |\n|---|---:|---:|---:|"
    where = f" of {scores['dataset']}" if scores.get("dataset") else ""
    return f"{images} images{where}, in per cent.\n\n" + "\n".join([head, *rows, mean])


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"


def _data(config: ModelConfig, name: str, scores: Mapping[str, Any] | None) -> ModelCardData:
    figures = scores or {}
    dataset = str(figures.get("dataset") or "unnamed")
    results = [
        EvalResult("image-segmentation", dataset, dataset, metric, figures[metric], metric_name=title)
        for metric, title in _METRICS.items()
        if figures.get(metric) is not None
    ]
    return ModelCardData(
        library_name="offstride",
        pipeline_tag="image-segmentation",
        tags=["semantic-segmentation", config.upsampler],
        model_name=name.rpartition("/")[2],
        eval_results=results or None,
    )
