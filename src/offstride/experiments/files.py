"""Contestants from models, which are not trained."""

from collections.abc import Sequence
from pathlib import Path

from offstride.compare import ImageCounts
from offstride.data import SampleSet
from offstride.experiments.report import Contestant, Scoring
from offstride.experiments.store import Store, digest
from offstride.opening import files_of, names_library


def read_files(words: Sequence[str], dataset: SampleSet, scoring: Scoring, store: Store) -> list[Contestant]:
    """Score models.

    Args:
        words: `NAME=MODEL`, or a model whose stem is the name, each a reference that `open_model` takes; models of one
            name are runs of one method.
        dataset: Images to score.
        scoring: How they are scored.
        store: Folder of the counts.

    Raises:
        ValueError: If a reference is no model or it has other classes.
    """
    files: dict[str, list[str]] = {}
    for word in words:
        name, equals, reference = word.partition("=")
        file = reference if equals else word
        files.setdefault(name if equals else Path(word).stem, []).append(file)
    for file in (file for several in files.values() for file in several):
        store.load(file, scoring.output_stride)  # fails before any work

    def counts(name: str, file: str) -> ImageCounts:
        stamps = [(str(path.resolve()), path.stat().st_size, path.stat().st_mtime_ns) for path in files_of(file)]
        seen = [file if names_library(file) else "", stamps, str(dict(store.missing)), scoring.key(), len(dataset)]
        path = store.folder / "counts" / f"{digest(seen, 12, sort_keys=False)}.npz"
        return scoring.counts(store, path, file, dataset, f"{name}: {file}")

    return [Contestant(name, several, [counts(name, file) for file in several]) for name, several in files.items()]
