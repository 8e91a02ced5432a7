"""Offset fields and score maps as pictures.

Convention: offsets are (2, h, w), vertical first, in coarse pixels; positive is down and right. A pixel reads the
coarse scores at its own place plus its offset. Pictures are uint8 RGB.
"""

import numpy as np

from offstride.visualize.masks import check_picture

_LIGHTNESS, _CHROMA = 0.67, 0.15  # OKLCH of the rim: bright enough for dark pages, dark enough for white ones


def offset_limit(offsets: np.ndarray, share: float = 0.99) -> float:
    """Quantile of the lengths of the offsets, in coarse pixels: the rim of the colour wheel."""
    _check_offsets(offsets)
    return float(np.quantile(np.hypot(*offsets.astype(np.float64)), share))


def offset_colors(offsets: np.ndarray, limit: float | None = None) -> np.ndarray:
    """Paint offsets by the colour wheel: direction is hue, length is saturation, white is zero.

    Hues are perceptually uniform (OKLab: Ottosson 2020).

    Args:
        offsets: `(2, h, w)`.
        limit: Length at full saturation, also for longer ones; `offset_limit(offsets)` by default.

    Returns:
        `(h, w, 3)`.
    """
    _check_offsets(offsets)
    limit = offset_limit(offsets) if limit is None else limit
    y, x = offsets.astype(np.float64)
    length = np.minimum(np.hypot(y, x) / max(limit, 1e-12), 1)
    return _oklch(1 - (1 - _LIGHTNESS) * length, _CHROMA * length, np.arctan2(y, x))


def color_wheel(size: int = 128) -> np.ndarray:
    """The key to `offset_colors`: each point has the colour of the offset that leads to it from the centre.

    Returns:
        `(size, size, 4)` RGBA, transparent outside the wheel.
    """
    axis = (np.arange(size) + 0.5) * 2 / size - 1
    offsets = np.stack(np.meshgrid(axis, axis, indexing="ij"))
    inside = np.clip((1 - np.hypot(*offsets)) * size / 2 + 0.5, 0, 1)  # anti-aliased rim
    return np.dstack((offset_colors(offsets, limit=1), np.rint(255 * inside).astype(np.uint8)))


def offset_arrows(
    image: np.ndarray,
    offsets: np.ndarray,
    stride: float,
    *,
    spacing: float = 8,
    zoom: int = 4,
    limit: float | None = None,
) -> np.ndarray:
    """Draw arrows from pixels to the places that they read, to scale, in the colours of the wheel.

    Args:
        image: `(H, W, 3)` uint8 to draw over; it is dimmed.
        offsets: `(2, h, w)`, on the image's grid or a coarser one.
        stride: Image pixels per coarse pixel.
        spacing: Distance between arrows in image pixels.
        zoom: Pixels of the result per image pixel.
        limit: Length at full saturation; `offset_limit(offsets)` by default.

    Returns:
        `(zoom · H, zoom · W, 3)`.
    """
    check_picture("image", image)
    colors = offset_colors(offsets, limit) / 255
    height, width = image.shape[:2]
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width * zoom / 100, height * zoom / 100), dpi=100)
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
    axes.set_axis_off()
    axes.imshow(image // 3, interpolation="nearest", aspect="auto", zorder=0)
    y, x = np.meshgrid(*(np.arange(spacing / 2 - 0.5, side, spacing) for side in (height, width)), indexing="ij")
    rows, columns = (
        np.minimum(((place + 0.5) * fine / side).astype(int), fine - 1)
        for place, fine, side in zip((y, x), offsets.shape[1:], (height, width), strict=True)
    )
    dy, dx = offsets[:, rows, columns] * stride
    axes.quiver(
        x, y, dx, dy, color=colors[rows, columns].reshape(-1, 3), angles="xy", scale_units="xy", scale=1,
        units="xy", width=0.12 * spacing, headwidth=3, headlength=3.5, headaxislength=3, minlength=0.4,
    )  # fmt: skip
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def heatmap(values: np.ndarray, low: float | None = None, high: float | None = None) -> np.ndarray:
    """Paint `(h, w)` numbers from dark (`low`, by default the minimum) to bright (`high`, by default the maximum).

    Maps that are compared need the same limits.
    """
    if values.ndim != 2:
        raise ValueError(f"values: expected (h, w), got {values.shape}")
    low = float(values.min()) if low is None else low
    high = float(values.max()) if high is None else high
    shares = (values.astype(np.float64) - low) / max(high - low, 1e-12)
    from matplotlib import colormaps

    return colormaps["magma"](np.clip(shares, 0, 1), bytes=True)[..., :3]


def _check_offsets(offsets: np.ndarray) -> None:
    if offsets.ndim != 3 or offsets.shape[0] != 2 or offsets.dtype.kind != "f":
        raise ValueError(f"offsets: expected floats (2, h, w), got {offsets.dtype} {offsets.shape}")


def _oklch(lightness: np.ndarray, chroma: np.ndarray, hue: np.ndarray) -> np.ndarray:
    """uint8 sRGB of OKLCH colours, cut to the gamut: B. Ottosson, "A perceptual color space for image processing",
    2020.
    """
    lab = np.stack((lightness, chroma * np.cos(hue), chroma * np.sin(hue)))
    to_cones = np.array(
        [[1, 0.3963377774, 0.2158037573], [1, -0.1055613458, -0.0638541728], [1, -0.0894841775, -1.2914855480]]
    )
    to_rgb = np.array(
        [
            [4.0767416621, -3.3077115913, 0.2309699292],
            [-1.2684380046, 2.6097574011, -0.3413193965],
            [-0.0041960863, -0.7034186147, 1.7076147010],
        ]
    )
    linear = np.clip(np.tensordot(to_rgb, np.tensordot(to_cones, lab, 1) ** 3, 1), 0, 1)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return np.rint(255 * np.moveaxis(encoded, 0, -1)).astype(np.uint8)
