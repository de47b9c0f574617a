"""The sample volume in, the pictures of this folder out: the module's icon and the thumbnails of the sample data.

To draw them again: .venv/bin/python Resources/Icons/draw_icons.py
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk
from PIL import Image, ImageDraw

HERE = Path(__file__).resolve().parent
SAMPLE = HERE.parent / "SampleData" / "colin27_t1.nii.gz"
FINER = 8  # drawn eight times as large, then averaged: Pillow's lines have no smooth edges of their own
SIZE = 128
NIGHT, BONE, SKIN, FLUID, ORANGE = "#12263a", "#ffffff", "#8d99a6", "#1d2b39", "#ff9d2e"
MR_BRAIN, MR_FOLDS, CT_BRAIN = "#c9ced6", "#6d7682", "#8a8f96"


def main() -> None:
    """Draws every picture."""
    mr, ct = head_in_mr(), head_in_ct()
    module_icon(mr, ct).save(HERE / "MedTranslate.png", optimize=True)
    shrunk(on_night(mr)).save(HERE / "SampleMR.png", optimize=True)
    shrunk(on_night(ct)).save(HERE / "SampleCT.png", optimize=True)
    middle_slice(SAMPLE).save(HERE / "SampleColin27.png", optimize=True)


def module_icon(mr: Image.Image, ct: Image.Image) -> Image.Image:
    """One head, half in MR and half in CT, and a point on either side that belong to each other."""
    icon = on_night(mr)
    width, height = icon.size
    icon.paste(on_night(ct).crop((width // 2, 0, width, height)), (width // 2, 0))
    draw = ImageDraw.Draw(icon)
    draw.line(scaled(64, 0, 64, 128), fill=NIGHT, width=2 * FINER)
    draw.arc(scaled(38, 72, 90, 112), start=196, end=344, fill=ORANGE, width=4 * FINER)
    for x in (41, 87):
        draw.ellipse(scaled(x - 8, 79, x + 8, 95), fill=ORANGE, outline=NIGHT, width=2 * FINER)
    return shrunk(rounded(icon))


def head_in_mr() -> Image.Image:
    """A head whose bone is dark and whose folds show, transparent around it."""
    image, draw = empty()
    draw.ellipse(scaled(16, 4, 112, 124), fill=SKIN)
    draw.ellipse(scaled(20, 8, 108, 120), fill=NIGHT)
    draw.ellipse(scaled(25, 13, 103, 115), fill=MR_BRAIN)
    for fold in range(22):  # from the brain's edge inwards, long and short ones in turn
        x, y = np.sin(np.pi * (fold + 0.5) / 11), np.cos(np.pi * (fold + 0.5) / 11)
        depth = 8 + 5 * (fold % 3)
        ends = (64 + 38 * x, 64 + 50 * y, 64 + (38 - depth) * x + 3 * y, 64 + (50 - depth) * y + 3 * x)
        draw.line(scaled(*ends), fill=MR_FOLDS, width=2 * FINER)
    ventricles(draw)
    return image


def head_in_ct() -> Image.Image:
    """The same head with bright bone and an even brain."""
    image, draw = empty()
    draw.ellipse(scaled(16, 4, 112, 124), fill=SKIN)
    draw.ellipse(scaled(19, 7, 109, 121), fill=BONE)
    draw.ellipse(scaled(27, 15, 101, 113), fill=CT_BRAIN)
    ventricles(draw)
    return image


def ventricles(draw: ImageDraw.ImageDraw) -> None:
    """The fluid in the middle of the brain."""
    for corners in ((61, 52, 48, 40, 50, 58, 57, 66, 48, 88, 60, 72), (67, 52, 80, 40, 78, 58, 71, 66, 80, 88, 68, 72)):
        draw.polygon(scaled(*corners), fill=FLUID)


def empty() -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """A transparent picture at the finer size."""
    image = Image.new("RGBA", (SIZE * FINER, SIZE * FINER))
    return image, ImageDraw.Draw(image)


def scaled(*pixels: float) -> tuple[float, ...]:
    """Places in the finished picture to places at the finer size."""
    return tuple(pixel * FINER for pixel in pixels)


def on_night(image: Image.Image) -> Image.Image:
    """The picture before the dark of an image view."""
    return Image.alpha_composite(Image.new("RGBA", image.size, NIGHT), image)


def rounded(image: Image.Image) -> Image.Image:
    """The picture with round corners."""
    mask = Image.new("L", image.size)
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, image.width - 1, image.height - 1), radius=20 * FINER, fill=255)
    image.putalpha(mask)
    return image


def shrunk(image: Image.Image) -> Image.Image:
    """The picture at its finished size."""
    return image.resize((SIZE, SIZE), Image.Resampling.BOX)


def middle_slice(path: Path) -> Image.Image:
    """The middle axial slice of a volume as radiologists look at it: front up, the patient's right on the left."""
    values = sitk.GetArrayFromImage(sitk.DICOMOrient(sitk.ReadImage(path), "LAS"))
    picture = np.flipud(values[len(values) // 2]).astype(float)
    picture = np.clip(picture / np.percentile(picture, 99.5), 0, 1) * 255
    square = np.zeros((max(picture.shape),) * 2)
    top, left = ((len(square) - side) // 2 for side in picture.shape)
    square[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return Image.fromarray(square.astype(np.uint8)).resize((SIZE, SIZE), Image.Resampling.LANCZOS)


if __name__ == "__main__":
    main()
