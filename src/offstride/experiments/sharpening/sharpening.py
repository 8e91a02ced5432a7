"""`offstride sharpen`: the universal upsampler on a model, and what it does there."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from offstride.compare import Resampling
from offstride.data import SampleSet
from offstride.experiments.sharpening.choosing import best
from offstride.experiments.sharpening.costs import method_costs
from offstride.experiments.sharpening.counting import Counted, count_methods
from offstride.experiments.sharpening.frozen import Frozen, upsampler_holder
from offstride.experiments.sharpening.methods import TRAINED, Method, opponents, own_method
from offstride.experiments.sharpening.pictures import photographs, scored_pictures
from offstride.experiments.sharpening.report import Scored, scored_report, unscored_report
from offstride.experiments.sharpening.training import Snapshot, UpsamplerTraining, cached_crops, train_upsampler
from offstride.experiments.store import CPU, Progress, no_progress
from offstride.files import write_text
from offstride.inference import InferenceProtocol
from offstride.replace.sharpening import UNIVERSAL, sharpen
from offstride.visualize.sharpening.page import write_sharpen_page

FILE, PAGE, FIGURES = "sharpened.safetensors", "report.html", "report.json"
MOST_PHOTOGRAPHS = 8
"""Photographs on the page, so that it can be sent by mail."""


@dataclass(frozen=True, eq=False)
class Labelled:
    """A split of a data set, and the name of the split."""

    images: SampleSet
    split: str


@dataclass(frozen=True, eq=False)
class Sharpening:
    """What is to be done.

    Args:
        model: The model; it is taken over.
        reference: Where it came from, as the report says it.
        output: Folder of the results.
        name: Name of the data set.
        scored: Images to score, if there are any.
        training: How the upsampler is trained; None leaves it as it is.
        train: Images to train on.
        choice: Images that decide which upsampler is kept.
        photographs: Files of photographs, see `find_images`.
        protocol: How photographs are predicted.
        against: Names of further rows, see `opponents`.
        beside: Further rows.
        remarks: Sentences that the report starts with.
        resampling: How intervals are made.
        rounds: Timed predictions of each method.
        workers: Processes that load data.
        weights: File of `offstride fit-universal`, in place of the shipped weights.
        options: Options of the universal upsampler.
        device: Where all of it runs.
        announce: Called with messages before long steps.
        progress: Progress bars.
    """

    model: Any
    reference: str
    output: Path
    name: str = ""
    scored: Labelled | None = None
    training: UpsamplerTraining | None = None
    train: Labelled | None = None
    choice: Labelled | None = None
    photographs: Mapping[Path, Path] = field(default_factory=dict)
    protocol: InferenceProtocol = field(default_factory=InferenceProtocol)
    against: Sequence[str] = ()
    beside: Sequence[Method] = ()
    remarks: Sequence[str] = ()
    resampling: Resampling = field(default_factory=Resampling)
    rounds: int = 20
    workers: int = 0
    weights: Path | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    device: torch.device = CPU
    announce: Callable[[str], None] = lambda text: None
    progress: Progress = no_progress

    def run(self) -> dict[str, Any] | None:
        """Sharpen the model, save it and report.

        Returns:
            The content of `report.json`; None if there was nothing to report on.

        Raises:
            ValueError: If the model, the data or an option does not fit.
        """
        result = sharpen(self.model, weights=self.weights, **self.options).to(self.device)
        frozen = Frozen(self.model.to(self.device))
        own, zero = own_method(frozen), Method(UNIVERSAL, result.upsampler.eval(), "not one step of training")
        rows = [own, zero, *opponents(self.against, frozen), *self.beside]
        for labelled in (self.scored, self.train, self.choice):
            if labelled:
                frozen.check_classes(labelled.images.classes)
        snapshots = self._learn(frozen, zero)
        after, scored = self._score(frozen, rows, snapshots)
        upsampler_holder(result).upsampler = after.upsampler
        result.save(self.output / FILE)
        return self._report(frozen, own, after, scored)

    def _learn(self, frozen: Frozen, zero: Method) -> list[Snapshot]:
        """Upsamplers of a training; none without one."""
        if self.training is None or self.train is None:
            return []
        self.announce(f"computing coarse scores of {self.training.crops} crops, once")
        inside = bool(getattr(zero.upsampler, "upsample", None))
        with self.progress("coarse scores") as report:
            crops = cached_crops(frozen, self.train.images, self.training, features=inside, progress=report)
        with self.progress("training the upsampler") as report:
            return train_upsampler(zero.upsampler, crops, self.training, progress=report)

    def _count(self, frozen: Frozen, methods: Sequence[Method], labelled: Labelled) -> list[Counted]:
        with self.progress(f"scoring {labelled.split}") as report:
            return count_methods(methods, frozen, labelled.images, workers=self.workers, progress=report)

    def _score(self, frozen: Frozen, rows: list[Method], snapshots: Sequence[Snapshot]) -> tuple[Method, Scored | None]:
        """The method that is kept, and the rows with their counts."""
        if not snapshots:
            counted = self._count(frozen, rows, self.scored) if self.scored else []
            return rows[1], Scored(rows, counted, rows[1]) if counted else None
        if self.scored is None or self.choice is None:
            raise ValueError("training: expected labelled images to choose and to score on, got none")
        learned = [Method(TRAINED, it.upsampler, f"learned from labels, {it.step} steps") for it in snapshots]
        one_pass = self.choice is self.scored
        judged = rows if one_pass else rows[:2]
        counted = self._count(frozen, [*judged, *learned], self.choice)
        candidates, classes = [it.counts for it in counted[len(judged) :]], self.choice.images.classes
        chosen, place = best([counted[1].counts, *candidates], classes), 1 + best(candidates, classes)
        shown = [*rows[:2], learned[place - 1], *rows[2:]]
        if one_pass:
            counted = [*counted[:2], counted[len(judged) + place - 1], *counted[2 : len(judged)]]
        else:
            counted = self._count(frozen, shown, self.scored)
        taught = {"choice": self.choice.split, "start": rows[1].name, "step": snapshots[place - 1].step}
        taught |= {"chosen": chosen > 0, "losses": [it.loss for it in snapshots]}
        after = shown[2] if chosen else shown[1]
        return after, Scored(shown, counted, after, taught)

    def _report(self, frozen: Frozen, own: Method, after: Method, scored: Scored | None) -> dict[str, Any] | None:
        pictures = []
        if scored and self.scored:
            dataset = self.scored.images
            height, width = dataset[0].label.shape
            with self.progress("timing") as report:
                costs = method_costs(scored.methods, frozen, (height, width), rounds=self.rounds, progress=report)
            content = scored_report(
                scored, costs, dataset, self.name, self.scored.split, self.resampling, self.reference
            )
            pair = (scored.counts_of(own), scored.counts_of(after))
            pictures += scored_pictures(own, after, pair, frozen, dataset)
        elif self.photographs:
            content = unscored_report(own, after, frozen, len(self.photographs), self.reference)
        else:
            return None
        content["remarks"] = [*self.remarks, *content["remarks"]]
        shown = dict(list(self.photographs.items())[:MOST_PHOTOGRAPHS])
        if len(shown) < len(self.photographs):
            content["remarks"].append(f"The first {len(shown)} of {len(self.photographs)} photographs are shown.")
        with self.progress("photographs") as report:
            pictures += photographs(own, after, frozen, shown, self.protocol, report)
        write_text(self.output / FIGURES, json.dumps(content, indent=1) + "\n")
        write_sharpen_page(self.output / PAGE, content, pictures)
        return content
