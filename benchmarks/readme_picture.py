"""The picture at the top of README.md: labels of the demo's network before and after it is sharpened, and below
them a close-up of where most labels of things turn right.

    make demo
    python benchmarks/readme_picture.py --demo runs/demo --output docs/before_after.webp

The scene is drawn, of a seed that neither the network nor the universal weights were trained on.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from offstride import Segmenter
from offstride.data import STREETS, Streets
from offstride.visualize.details import Box, busiest_box
from offstride.visualize.masks import class_borders, colorize

WIDTH, GAP, BAR = 640, 12, 44
SIZE = (288, 384)
THINGS = ("car", "person", "sign")
INK, PAPER = (24, 27, 33), (255, 255, 255)


def shown(image: np.ndarray, label: np.ndarray, factor: int) -> np.ndarray:
    """The classes over the enlarged image, with their borders."""
    image, label = (np.repeat(np.repeat(it, factor, 0), factor, 1) for it in (image, label))
    colours = colorize(label, STREETS.palette)
    mixed = (0.42 * image + 0.58 * colours).astype(np.uint8)
    mixed[class_borders(label)] = 255
    return mixed


def fitted(picture: np.ndarray, width: int) -> Image.Image:
    height = round(width * picture.shape[0] / picture.shape[1])
    return Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS)


def framed(picture: Image.Image, box: Box, scale: float) -> Image.Image:
    """With a frame where the close-up is."""
    draw = ImageDraw.Draw(picture)
    rows, columns = box.window
    corners = [columns.start * scale, rows.start * scale, columns.stop * scale, rows.stop * scale]
    draw.rectangle(corners, outline=PAPER, width=4)
    draw.rectangle(corners, outline=INK, width=1)
    return picture


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--demo", type=Path, default=Path("runs/demo"), help="folder of `offstride demo`")
    parser.add_argument("--output", type=Path, default=Path("docs/before_after.webp"))
    parser.add_argument("--scene", type=int, default=11)
    arguments = parser.parse_args()
    sample = Streets(arguments.scene + 1, SIZE, seed=1, split="test")[arguments.scene]
    image = sample.image.permute(1, 2, 0).numpy()
    files = {
        "bilinear: the model as it is": arguments.demo / "bilinear" / "last.safetensors",
        "universal: not one step of training": arguments.demo / "sharpened.safetensors",
    }
    labels = {title: Segmenter.load(file).eval().predict(sample.image).numpy() for title, file in files.items()}
    before, after = labels.values()
    truth = sample.label.numpy()
    things = np.isin(truth, [STREETS.names.index(name) for name in THINGS])
    box = busiest_box((before != after) & (after == truth) & things, (SIZE[0] // 4, SIZE[1] // 4))
    columns = [[framed(fitted(shown(image, it, 4), WIDTH), box, WIDTH / SIZE[1])] for it in labels.values()]
    for column, label in zip(columns, labels.values(), strict=True):
        column.append(fitted(shown(image[box.window], label[box.window], 16), WIDTH))
    height = columns[0][0].height
    canvas = Image.new("RGB", (2 * WIDTH + GAP, BAR + 2 * height + GAP), PAPER)
    draw, font = ImageDraw.Draw(canvas), ImageFont.load_default(24)
    for index, (title, column) in enumerate(zip(labels, columns, strict=True)):
        left = index * (WIDTH + GAP)
        draw.text((left + 4, BAR / 2), title, INK, font, anchor="lm")
        for row, picture in enumerate(column):
            canvas.paste(picture, (left, BAR + row * (height + GAP)))
    canvas.save(arguments.output, quality=82, method=6)
    print(f"{arguments.output}: {arguments.output.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
