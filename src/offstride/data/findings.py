"""Results of an audit of a dataset."""

from dataclasses import asdict, dataclass, field
from typing import Any

from offstride.data.catalog import ClassSet
from offstride.data.layout import abridged

Size = tuple[int, int]


@dataclass
class SplitAudit:
    """Results for one split. Paths are strings, sizes are (height, width).

    Attributes:
        pairs: Number of images with a mask, or without one if the labels of the split are not public.
        official: Number of images that the published split has; None where that is not known.
        smallest: Smallest height and smallest width of the images; None when no image could be read.
        largest: Largest height and largest width of the images.
        without_label: Images that have no mask.
        without_image: Masks that have no image.
        ambiguous: Files that share their stem with another one.
        missing: Images in the list of the split that do not exist.
        unreadable: Path to reason, for each file that cannot be decoded completely.
        mismatches: Path of the mask to (size of the image, size of the mask), where these differ.
        unknown_values: Path of the mask to its values that are no class.
        pixels: Number of pixels of each class.
        images: Number of masks that show each class.
        ignored: Number of ignored pixels.
        unknown: Number of pixels with unknown values.
    """

    pairs: int = 0
    official: int | None = None
    smallest: Size | None = None
    largest: Size | None = None
    without_label: list[str] = field(default_factory=list)
    without_image: list[str] = field(default_factory=list)
    ambiguous: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)
    mismatches: dict[str, tuple[Size, Size]] = field(default_factory=dict)
    unknown_values: dict[str, list[int]] = field(default_factory=dict)
    pixels: list[int] = field(default_factory=list)
    images: list[int] = field(default_factory=list)
    ignored: int = 0
    unknown: int = 0

    @property
    def shares(self) -> list[float]:
        """Share of each class in all pixels of the masks."""
        return [count / max(1, self._total) for count in self.pixels]

    @property
    def ignored_share(self) -> float:
        """Share of ignored pixels in all pixels of the masks."""
        return self.ignored / max(1, self._total)

    @property
    def problems(self) -> list[str]:
        """One sentence per kind of problem; empty when there is none."""
        mismatches = [f"{path} (mask {mask}, image {image})" for path, (image, mask) in self.mismatches.items()]
        unknown = [f"{path} (values {abridged(values)})" for path, values in self.unknown_values.items()]
        findings = (
            ("images of the list that are missing", self.missing),
            ("images without a mask", self.without_label),
            ("masks without an image", self.without_image),
            ("files that share their stem", self.ambiguous),
            ("unreadable files", list(self.unreadable.values())),
            ("masks of another size than their image", mismatches),
            ("masks with unknown values", unknown),
        )
        empty = [] if self.pairs or self.missing or self.without_label or self.without_image else ["no images"]
        return empty + [f"{kind} ({len(cases)}): {abridged(cases)}" for kind, cases in findings if cases]

    @property
    def warnings(self) -> list[str]:
        """A sentence if the number of images differs from the published one."""
        if self.official is None or self.pairs == self.official:
            return []
        return [f"{self.pairs} images that can be used, {self.official} were published"]

    @property
    def _total(self) -> int:
        return sum(self.pixels) + self.ignored + self.unknown


@dataclass
class Audit:
    """Results for a dataset.

    Attributes:
        root: The folder.
        classes: Assumed meaning of the mask values.
        splits: Split name to results; the name is empty when the files are in `images` and `labels` directly.
        absent: Missing splits, and the reason.
    """

    root: str
    classes: ClassSet
    splits: dict[str, SplitAudit]
    absent: dict[str, str] = field(default_factory=dict)

    @property
    def problems(self) -> list[str]:
        """One sentence per split and kind of problem."""
        named = ((f"{name}: " if name else "", split) for name, split in self.splits.items())
        return [prefix + problem for prefix, split in named for problem in split.problems]

    @property
    def warnings(self) -> list[str]:
        """One sentence per split that is absent or has another number of images than was published."""
        counts = [f"{name}: {warning}" for name, split in self.splits.items() for warning in split.warnings]
        return counts + [f"{name}: not there ({reason})" for name, reason in self.absent.items()]

    @property
    def ok(self) -> bool:
        """Whether training and evaluation can read every file."""
        return not self.problems

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data that JSON can hold."""
        splits = {
            name: asdict(split) | {"shares": split.shares, "ignored_share": split.ignored_share}
            for name, split in self.splits.items()
        }
        summary = {"root": self.root, "ok": self.ok, "problems": self.problems, "warnings": self.warnings}
        return summary | {"classes": self.classes.to_dict(), "splits": splits}
