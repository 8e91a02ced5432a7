"""Crops of an image and of its coarse maps that belong together.

Convention: all coordinates of a crop are those of the whole image, shifted by a whole number of coarse pixels. With the
origins `"center"` and `"corner"` a coarse pixel covers as many pixels as the stride, so that n of them lie over n·s.
With `"aligned"` the outermost pixels of image and map coincide: n coarse pixels lie over (n - 1)·s + 1.
"""

from dataclasses import dataclass
from random import Random

from offstride.data.draw import below
from offstride.ops.grid import Origin, check_origin


@dataclass(frozen=True)
class CoarseSpan:
    """One axis of a crop.

    Args:
        grid: The coarse grid.
        length: Pixels of the crop.
        first: The first coarse pixel of the grid; None for the whole axis, whatever its length.
    """

    grid: "CoarseGrid"
    length: int
    first: int | None = None

    @property
    def pixels(self) -> slice:
        """Pixels of the image."""
        start = (self.first or 0) * self.grid.stride
        return slice(start, start + self.length)

    def coarse(self, stride: int) -> slice:
        """Pixels of a map whose stride divides that of the grid."""
        if self.first is None:
            return slice(None)
        start = self.first * self.grid.stride // stride
        return slice(start, start + self.grid.at(stride).count(self.length))


@dataclass(frozen=True)
class CoarseGrid:
    """How the pixels of an image and of a coarse map lie over each other, along one axis.

    Args:
        stride: Pixels from one coarse pixel to the next.
        origin: Pixel convention, see `offstride.ops.grid`.

    Raises:
        ValueError: If there is no such convention, or the stride is not positive.
    """

    stride: int
    origin: Origin = "center"

    def __post_init__(self) -> None:
        check_origin(self.origin)
        if self.stride < 1:
            raise ValueError(f"stride: expected a positive whole number, got {self.stride}")

    def at(self, stride: int) -> "CoarseGrid":
        """The grid of another map of the same image."""
        return CoarseGrid(stride, self.origin)

    def pixels(self, count: int) -> int:
        """Pixels under so many coarse ones."""
        return (count - 1) * self.stride + 1 if self.origin == "aligned" else count * self.stride

    def count(self, length: int) -> int:
        """Coarse pixels that cover so many pixels."""
        return -(-(length - 1) // self.stride) + 1 if self.origin == "aligned" else -(-length // self.stride)

    def padded(self, length: int, crop: int) -> int:
        """Pixels that an axis of an image is padded to before a network sees it, so that crops fit the grid. An axis
        that is as long as the crop stays as it is.

        Raises:
            ValueError: If the crop is shorter than the image and does not fit the grid.
        """
        if length <= crop:
            return crop
        if self.pixels(self.count(crop)) != crop:
            near = sorted({self.pixels(max(1, self.count(crop) - 1)), self.pixels(self.count(crop))})
            raise ValueError(
                f"crop: expected a length on the grid of stride {self.stride} with origin {self.origin!r} "
                f"({' or '.join(map(str, near))} pixels), or the length of the image, got {crop}"
            )
        return self.pixels(self.count(length))

    def draw(self, padded: int, crop: int, random: Random) -> CoarseSpan:
        """A random place for a crop. Takes two numbers from `random`, as `TrainTransform` does."""
        places = 1 if padded == crop else self.count(padded) - self.count(crop) + 1
        first, _ = below(places, random), random.random()
        return CoarseSpan(self, crop, None if padded == crop else first)
