"""Local mutual information equals its definition, its slow histogram form, and its derivative; in bounded memory."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from MedTranslateLib.core.volume import Geometry
from MedTranslateLib.imaging.phantom import head_phantom
from MedTranslateLib.imaging.reading import read_volume
from MedTranslateLib.methods import lmi
from MedTranslateLib.methods.lmi import PAPER_BANDWIDTH, local_mutual_information
from MedTranslateLib.methods.lmi_reference import histogram_lmi

ROOT = Path(__file__).resolve().parents[2]
PATIENTS = sorted((ROOT.parent / "shared/data/tcga-lgg/val").glob("*.npz"))
SAMPLE_HEAD = ROOT / "Resources/SampleData/colin27_t1.nii.gz"


def images(height: int, width: int, count: int = 2) -> Tensor:
    return torch.rand(count, 1, height, width, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 0.4


def by_definition(first: np.ndarray, second: np.ndarray, bandwidth: float, radius: int) -> np.ndarray:
    """Kernel matrices of every pair of patches, as the formula reads."""
    padded = [np.pad(image, 2 * radius, mode="edge") for image in (first, second)]
    wide = 2 * radius + 1

    def kernels(image: np.ndarray, row: int, column: int) -> np.ndarray:
        patch = image[row : row + wide, column : column + wide].ravel()
        return np.exp(-((patch[:, None] - patch[None]) ** 2) / (2 * bandwidth**2))

    result = np.zeros(first.shape)
    for row, column in np.ndindex(*first.shape):
        ours = kernels(padded[0], row + radius, column + radius)
        values = []
        for down, right in product(range(wide), repeat=2):
            theirs = kernels(padded[1], row + down, column + right)
            ratio = wide**2 * (ours * theirs).sum(1) / (ours.sum(1) * theirs.sum(1))
            values.append(np.log(ratio).mean())
        result[row, column] = max(values)
    return result


@pytest.mark.parametrize("radius", [1, 2])
@pytest.mark.parametrize("shape", [(9, 7), (4, 11), (1, 5)])
def test_it_is_what_the_definition_says(radius, shape):
    first, second = images(*shape)
    got = local_mutual_information(first[None], second[None], 0.05, radius)[0, 0]
    expected = by_definition(first[0].numpy(), second[0].numpy(), 0.05, radius)
    np.testing.assert_allclose(got.numpy(), expected, atol=1e-12)


def test_it_agrees_with_the_joint_histogram_on_a_head():
    slices = head_slices(2)
    for first, second in ((slices[0], slices[0]), (slices[0], slices[0] + noise(slices[0], 0.05))):
        quick = local_mutual_information(first[None], second[None])[0, 0]
        slow = histogram_lmi(first[0], second[0])
        assert float(torch.corrcoef(torch.stack([quick.flatten(), slow.flatten()]))[0, 1]) > 0.97


def test_tiles_have_no_seams(monkeypatch):
    first, second = images(23, 17)
    whole = local_mutual_information(first[None], second[None])
    monkeypatch.setattr(lmi, "TILE_PIXELS_ON_CPU", 3 * 17)
    torch.testing.assert_close(local_mutual_information(first[None], second[None]), whole, rtol=0, atol=1e-14)
    monkeypatch.setattr(lmi, "TILE_PIXELS_ON_CPU", 2 * 23 * 17)  # two slices at a time
    several = local_mutual_information(first.expand(5, -1, -1)[:, None], second.expand(5, -1, -1)[:, None])
    torch.testing.assert_close(several, whole.expand(5, -1, -1, -1), rtol=0, atol=1e-14)


def test_a_slice_has_the_same_map_in_any_batch():
    batch = images(12, 10, 5).float()
    together = local_mutual_information(batch, batch.flip(0))
    for number in range(5):
        alone = local_mutual_information(batch[number : number + 1], batch.flip(0)[number : number + 1])
        assert torch.equal(alone[0], together[number])


def test_the_gradient_is_that_of_finite_differences():
    """Values far enough apart that no two shifts tie, where the largest has no derivative."""
    order = torch.randperm(30, generator=torch.Generator().manual_seed(3)).double()
    first = (order[:30].view(1, 1, 5, 6) / 100).requires_grad_()
    second = (order.flip(0).view(1, 1, 5, 6) / 90).square().add(0.01).requires_grad_()

    def weighted(*pair: Tensor) -> Tensor:
        weights = torch.linspace(0.5, 1.5, 30, dtype=torch.float64).view(5, 6)
        return (local_mutual_information(*pair, 0.07) * weights).sum()

    assert torch.autograd.gradcheck(weighted, (first, second), eps=1e-6, atol=1e-6, rtol=1e-6)


def test_a_flat_image_tells_nothing_and_two_levels_tell_at_most_log_two():
    flat = torch.full((1, 1, 6, 6), 0.3)
    assert local_mutual_information(flat, flat).abs().max() < 1e-6
    halves = torch.zeros(1, 1, 8, 8)
    halves[..., 4:] = 1
    entropy = local_mutual_information(halves, halves)
    thirds = -(np.log(1 / 3) / 3 + 2 * np.log(2 / 3) / 3)  # the best patch at the edge holds 3 and 6 of its 9 samples
    assert float(entropy.max()) == pytest.approx(thirds, abs=1e-5)
    assert float(entropy.max()) < np.log(2)


def test_it_does_not_ask_how_bright_but_where():
    """An inverted image has the same entropies, and an image tells of its negative what it tells of itself."""
    picture = images(12, 12, 1)
    own = local_mutual_information(picture, picture)
    torch.testing.assert_close(local_mutual_information(1 - picture, 1 - picture), own)
    torch.testing.assert_close(local_mutual_information(picture, 1 - picture), own)


def means_with_noise(image: Tensor) -> list[float]:
    """Mean LMI(X, X_sigma), the noisy image brought to the contrast of the data; the first is LMI(X, X)."""
    spread = image.std()
    levels = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
    noisy = [(image + noise(image, sigma)) * spread / (sigma**2 + spread**2) ** 0.5 for sigma in levels]
    return [float(local_mutual_information(image, other).mean()) for other in noisy]


@pytest.mark.skipif(not PATIENTS, reason="the patients of TCGA-LGG are not beside the project")
@pytest.mark.parametrize("contrast", ["t1", "flair"])
def test_a_noised_copy_tells_the_less_of_patients_the_more_noise_it_has(contrast):
    """Theorem 1 of MIDiffusion: LMI(X, Y) <= LMI(X, X) for each patient; on average it falls with every level."""
    rows = []
    for path in PATIENTS:
        with np.load(path) as stored:
            middle = len(stored[contrast]) // 2
            image = torch.from_numpy(stored[contrast][middle - 1 : middle + 1].astype(np.float32) / 255)[:, None]
        rows.append(means_with_noise(image))
        assert max(rows[-1]) == rows[-1][0]
    average = np.mean(rows, axis=0)
    assert (np.diff(average) < 0).all(), average


def test_a_noised_copy_tells_less_of_a_head():
    """The sample head is an average of 27 scans without noise of its own, and a little noise makes it 0.6 % richer."""
    head = head_slices(3)
    means = means_with_noise(head * 2 * PAPER_BANDWIDTH / head.std())
    assert max(means) < 1.01 * means[0]
    assert max(means[3:]) < 0.99 * means[0]


def test_half_precision_images_are_worked_on_in_single_precision():
    head = head_slices(1)
    whole = local_mutual_information(head.half().float(), head.half().float())
    half = local_mutual_information(head.half(), head.half())
    assert half.dtype == torch.float16
    torch.testing.assert_close(half.float(), whole, rtol=1e-3, atol=1e-3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert local_mutual_information(head, head).dtype == torch.float32


@pytest.mark.parametrize(
    "wrong", [{"bandwidth": 0.0}, {"radius": 3}, {"radius": 0}, {"second": torch.zeros(1, 1, 4, 5)}]
)
def test_what_it_cannot_work_with_is_refused(wrong):
    arguments = {"first": torch.zeros(1, 1, 4, 4), "second": torch.zeros(1, 1, 4, 4), **wrong}
    with pytest.raises(ValueError, match="Expected"):
        local_mutual_information(**arguments)


@pytest.mark.skipif(sys.platform == "win32", reason="the peak of a process is read by resource")
@pytest.mark.parametrize("training", [False, True])
def test_eight_slices_of_512_stay_below_two_gigabytes(training):
    """The peak of a process of its own, torch and all; with gradients as in guidance by them."""
    script = (
        "import json, resource, torch\n"
        "from MedTranslateLib.methods.lmi import local_mutual_information as lmi\n"
        f"image = torch.rand(8, 1, 512, 512, requires_grad={training})\n"
        "result = lmi(image, torch.rand(8, 1, 512, 512))\n"
        "result.sum().backward() if result.requires_grad else None\n"
        "print(json.dumps(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    kilobytes = json.loads(done.stdout) / (1024 if sys.platform == "darwin" else 1)
    assert kilobytes < 2 << 20


def test_the_benchmark_ends_with_its_figures_as_json():
    command = [sys.executable, "-m", "MedTranslateLib", "bench", "lmi"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    figures = json.loads(done.stdout.splitlines()[-1])
    assert set(figures) == {"ratio", "correlation"}
    assert figures["correlation"] >= 0.97
    assert figures["ratio"] > 50  # 112 to 122 where nothing else runs, 84 beside two trainings


def head_slices(count: int) -> Tensor:
    """Axial slices of a real head in [0, 1], or of the phantom where the sample was left out."""
    if SAMPLE_HEAD.is_file():
        array = read_volume(SAMPLE_HEAD).array_kji
    else:
        array = head_phantom(Geometry((96, 96, 40), np.diag([2.0, 2.0, 3.0, 1.0]))).array_kji
    middle = len(array) // 2
    chosen = torch.from_numpy(array[middle - count : middle + count : 2].astype(np.float32))[:, None]
    return chosen / chosen.max()


def noise(like: Tensor, sigma: float) -> Tensor:
    return sigma * torch.randn(like.shape, generator=torch.Generator().manual_seed(1))
