"""Model files that are compared as they are."""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from offstride.cli.compare_report import Asked, Contestant
from offstride.cli.console import progress_bar
from offstride.compare import ImageCounts, count_images
from offstride.data import SampleSet


def read_files(
    words: Sequence[str], dataset: SampleSet, asked: Asked, tell: Callable[[str], None] = lambda text: None
) -> list[Contestant]:
    """Score model files.

    Args:
        words: `NAME=FILE`, or a file, which then gives its name; files of one name are runs of one method.
        dataset: Images to score.
        asked: How; counts are kept in its output folder.
        tell: Is told what is done next.

    Raises:
        ValueError: If a file is no model or has other classes.
    """
    files: dict[str, list[Path]] = {}
    for word in words:
        name, equals, path = word.partition("=")
        file = Path(path if equals else word)
        files.setdefault(name if equals else file.stem, []).append(file)
    loaded = {file: asked.load(file) for several in files.values() for file in several}  # or a message, before work

    def counted(name: str, file: Path) -> ImageCounts:
        stamp = file.stat()
        seen = [str(file.resolve()), stamp.st_size, stamp.st_mtime_ns, asked.key(), len(dataset)]
        digest = hashlib.sha256(json.dumps(seen, default=str).encode()).hexdigest()[:12]
        path = asked.output / "counts" / f"{digest}.npz"
        if not path.exists():
            tell(f"scoring {name}: {file}")
            with progress_bar("scoring") as progress:
                count_images(loaded[file], dataset, protocol=asked.protocol, workers=1, progress=progress).save(path)
        return ImageCounts.load(path)

    return [Contestant(name, several, [counted(name, file) for file in several]) for name, several in files.items()]
