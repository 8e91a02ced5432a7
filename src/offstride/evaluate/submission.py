"""Label maps in the formats of test servers.

| | file of an image | pixel | archive |
|---|---|---|---|
| PASCAL VOC 2012 | `results/VOC2012/Segmentation/comp6_test_cls/ID.png` | 0 to 20, palette of VOC | `.tar.gz` |
| ADE20K | `ID.png` | 1 to 150 | `.zip` |
| Cityscapes | `CITY_SEQUENCE_FRAME_pred_labelIds.png` | label ids, 7 to 33 | `.zip` |

Sources: VOC2012 development kit: `VOCinit.m` (`VOCopts.seg.clsrespath`), `VOCevalseg.m` (values up to 20, size of the
image) and its documentation (indexed PNG with the colours of the annotations; comp6 allows other training data; an
archive of the folder `results`). Scene Parsing Challenge 2016: README of the development kit ("Submission format": a
zip file, files named as the test images; 0 means "other objects" and is not scored). cityscapesScripts:
`evaluation/evalPixelLevelSemanticLabeling.py` (`getPrediction`: exactly one file `CITY_123456_123456*.png` for an
image, anywhere below the folder; ids and not train ids, of `helpers/labels.py`).
"""

import io
import re
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from offstride.data.catalog import ClassSet, voc_colors
from offstride.data.catalog_published import ADE20K_150, CITYSCAPES_19, VOC
from offstride.files import write_whole

_CITYSCAPES_NAME = re.compile(r"[^_]+_\d{6}_\d{6}")
_TAR = {".tar": "w", ".tar.gz": "w:gz", ".tgz": "w:gz"}


@dataclass(frozen=True)
class Submission:
    """Format of one test server.

    Args:
        classes: Its classes, in the order of a model's; their values are written as pixels.
        place: From the stem of an image file to the path of its label map in the archive.
        palette: Whether pixels are indices into the colours of VOC; grey values otherwise.
    """

    classes: ClassSet
    place: Callable[[str], str]
    palette: bool = False

    def png(self, labels: np.ndarray) -> bytes:
        """A label map as a file.

        Args:
            labels: `(H, W)` class indices.

        Raises:
            ValueError: If a label is not a class.
        """
        if labels.ndim != 2 or labels.dtype.kind not in "ui":
            raise ValueError(f"labels: expected integers (H, W), got {labels.dtype} {labels.shape}")
        if labels.min() < 0 or labels.max() >= len(self.classes):
            raise ValueError(f"labels: expected 0 to {len(self.classes) - 1}, got {labels.min()} to {labels.max()}")
        picture = Image.fromarray(self.classes.decode(labels))
        if self.palette:
            picture.putpalette(np.array(voc_colors(256), np.uint8).tobytes())
        file = io.BytesIO()
        picture.save(file, format="PNG", optimize=True)
        return file.getvalue()


def _cityscapes_place(name: str) -> str:
    frame = _CITYSCAPES_NAME.match(name)
    if frame is None:
        raise ValueError(f"image: expected a name such as berlin_000000_000019_leftImg8bit, got {name!r}")
    return f"{frame[0]}_pred_labelIds.png"


SUBMISSIONS = {
    "voc2012": Submission(VOC, "results/VOC2012/Segmentation/comp6_test_cls/{}.png".format, palette=True),
    "ade20k": Submission(ADE20K_150, "{}.png".format),
    "cityscapes": Submission(CITYSCAPES_19, _cityscapes_place),
}

Write = Callable[[str, np.ndarray], None]
"""Takes the stem of an image file and its `(H, W)` class indices."""


@contextmanager
def open_submission(server: str, path: str | Path, classes: ClassSet | int) -> Iterator[Write]:
    """Write label maps for a test server; an archive is written atomically.

    Example:
        `with open_submission("cityscapes", "results.zip", 19) as write: write("berlin_000000_000019_leftImg8bit", map)`

    Args:
        server: Key of `SUBMISSIONS`.
        path: Archive (`.zip`, `.tar`, `.tar.gz`, `.tgz`), or a folder for any other name.
        classes: Classes of the model, or their number if it has no names for them.

    Yields:
        Function `write(name, labels)`, to be called for every image.

    Raises:
        ValueError: If the server is unknown, the model has other classes, an image's name is not one of the server's or
            comes twice, or a label is no class.
    """
    if server not in SUBMISSIONS:
        raise ValueError(f"submission: expected one of {', '.join(SUBMISSIONS)}, got {server!r}")
    submission = SUBMISSIONS[server]
    _check_classes(server, submission.classes, classes)
    written: set[str] = set()
    with _container(Path(path)) as put:

        def write(name: str, labels: np.ndarray) -> None:
            place = submission.place(name)
            if place in written:
                raise ValueError(f"image: expected one image for {place}, got another one, {name!r}")
            written.add(place)
            put(place, submission.png(labels))

        yield write


def _check_classes(server: str, expected: ClassSet, classes: ClassSet | int) -> None:
    count = classes if isinstance(classes, int) else len(classes)
    if count != len(expected):
        raise ValueError(f"submission: {server!r} has {len(expected)} classes, the model has {count}")
    names = expected.names if isinstance(classes, int) else classes.names
    for wanted, name in zip(expected.names, names, strict=True):
        if wanted != name:
            raise ValueError(
                f"submission: expected the classes of {server!r} in their order, got {name!r} for {wanted!r}"
            )


@contextmanager
def _container(path: Path) -> Iterator[Callable[[str, bytes], None]]:
    """Function `put(place, content)` that adds a file to the archive or the folder."""
    suffix = next((suffix for suffix in (".zip", *_TAR) if path.name.lower().endswith(suffix)), None)
    if suffix is None:
        yield lambda place, content: _put_in_folder(path / place, content)
        return
    with write_whole(path) as temporary:
        if suffix == ".zip":
            with zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:  # PNG is compressed already
                yield archive.writestr
        else:
            with tarfile.open(temporary, _TAR[suffix]) as archive:  # type: ignore[call-overload]
                yield partial(_put_in_tar, archive)


def _put_in_folder(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def _put_in_tar(archive: tarfile.TarFile, place: str, content: bytes) -> None:
    entry = tarfile.TarInfo(place)
    entry.size = len(content)
    archive.addfile(entry, io.BytesIO(content))
