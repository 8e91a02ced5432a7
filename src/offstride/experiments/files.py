"""Contestants from model files, which are not trained."""

from collections.abc import Sequence
from pathlib import Path

from offstride.compare import ImageCounts
from offstride.data import SampleSet
from offstride.experiments.report import Contestant, Scoring
from offstride.experiments.store import Store, digest


def read_files(words: Sequence[str], dataset: SampleSet, scoring: Scoring, store: Store) -> list[Contestant]:
    """Score model files.

    Args:
        words: `NAME=FILE`, or a file whose stem is the name; files of one name are runs of one method.
        dataset: Images to score.
        scoring: How they are scored.
        store: Folder of the counts.

    Raises:
        ValueError: If a file is no model or has other classes.
    """
    files: dict[str, list[Path]] = {}
    for word in words:
        name, equals, path = word.partition("=")
        file = Path(path if equals else word)
        files.setdefault(name if equals else file.stem, []).append(file)
    for file in (file for several in files.values() for file in several):
        store.load(file, scoring.output_stride)  # fails before any work

    def counts(name: str, file: Path) -> ImageCounts:
        stamp = file.stat()
        seen = [str(file.resolve()), stamp.st_size, stamp.st_mtime_ns, scoring.key(), len(dataset)]
        path = store.folder / "counts" / f"{digest(seen, 12, sort_keys=False)}.npz"
        return scoring.counts(store, path, file, dataset, f"{name}: {file}")

    return [Contestant(name, several, [counts(name, file) for file in several]) for name, several in files.items()]
