"""The name of a metric in, its title, unit, sense and definition out: a number without its definition is no result."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Better(str, Enum):
    """Which way a metric improves; `neither` for figures that only describe."""

    HIGHER = "higher"
    LOWER = "lower"
    NEITHER = "neither"


@dataclass(frozen=True)
class Metric:
    """What a reader needs to know of a metric.

    Args:
        title: Head of a column.
        better: Which way it improves.
        digits: Decimals in tables.
        definition: One sentence.
    """

    title: str
    better: Better
    digits: int
    definition: str


IMAGES = "images in 0..1 on the slice grid of the table"
BODY = "inside the body mask (filled outline of the brighter of source and target), not defined where that is empty"
PAIR = "of translation and target"
SSIM = "(Wang et al. 2004; scikit-image, Gaussian window of sigma 1.5, data range 1)"
SQUEEZENET = "mean-pooled SqueezeNet 1.0 fire9 features (512, ImageNet weights)"
INCEPTION = "FID Inception v3 pool3 features (2048)"
FRECHET = (
    "|m1 - m2|^2 + Tr(C1 + C2 - 2 (C1 C2)^(1/2)) of the means and covariances of all translations and all targets in"
)
SIMPLIFIED = "As the Frechet distance, but with the variance of each feature alone (no covariances), of"
WHOLE = "over all slices and cases together"
INSIDE = "inside the head, mean over the cases"
ALONG = "The normalised mutual information of"
CONTRAST = "Mean of the lesion less that of the 8 mm around it, in standard deviations of the body, in"
KMEANS = range(2, 11)
"""Numbers of K-means clusters that have a metric."""
METRICS: dict[str, Metric] = {
    "ssim": Metric(
        "SSIM",
        Better.HIGHER,
        3,
        f"Structural similarity {PAIR} {SSIM}, {IMAGES}, mean over the slice without its border of 5 pixels.",
    ),
    "ssim_source": Metric(
        "SSIM to source", Better.NEITHER, 3, f"Structural similarity of translation and source {SSIM}, {IMAGES}."
    ),
    "ms_ssim": Metric(
        "MS-SSIM",
        Better.HIGHER,
        3,
        f"Multi-scale structural similarity {PAIR} (Wang et al. 2003, five scales with its weights; below 176 pixels "
        f"as many scales as fit, weights renormalised), {IMAGES}.",
    ),
    "psnr_db": Metric(
        "PSNR [dB]",
        Better.HIGHER,
        2,
        f"-10 log10 of the mean squared error {PAIR}, {IMAGES}; infinite for equal slices, and so is a mean over one.",
    ),
    "mse": Metric("MSE", Better.LOWER, 5, f"Mean squared difference {PAIR}, {IMAGES}."),
    "mae": Metric("MAE", Better.LOWER, 4, f"Mean absolute difference {PAIR}, {IMAGES}."),
    "mae_hu": Metric(
        "MAE [HU]",
        Better.LOWER,
        1,
        f"Mean absolute difference {PAIR} over the whole slice in Hounsfield units, within the range of the intensity "
        "scale.",
    ),
    "mi_nats": Metric(
        "MI [nats]",
        Better.HIGHER,
        3,
        f"Mutual information {PAIR} from their joint histogram of 64 x 64 bins over 0..1, whole slice.",
    ),
    "nmi": Metric(
        "NMI",
        Better.HIGHER,
        3,
        f"Normalised mutual information (H1 + H2) / H12 {PAIR} (Studholme et al. 1999; 1 independent, 2 determined), "
        "64 x 64 bins over 0..1, whole slice.",
    ),
    "ssim_body": Metric("SSIM, body", Better.HIGHER, 3, f"Mean of the map of the structural similarity {BODY}."),
    "psnr_body_db": Metric(
        "PSNR, body [dB]", Better.HIGHER, 2, f"-10 log10 of the mean squared error {PAIR} {BODY}; {IMAGES}."
    ),
    "mae_body": Metric("MAE, body", Better.LOWER, 4, f"Mean absolute difference {PAIR} {BODY}; {IMAGES}."),
    "cycle_mae": Metric(
        "Cycle MAE",
        Better.LOWER,
        4,
        f"Mean absolute difference of the source and its translation there and back (A to B to A), {IMAGES}.",
    ),
    "frechet": Metric(
        "Frechet distance (SqueezeNet)",
        Better.LOWER,
        0,
        f"{FRECHET} {SQUEEZENET}; not FID, whose network is another, and biased upwards for small sets.",
    ),
    "fid": Metric(
        "FID", Better.LOWER, 2, f"{FRECHET} {INCEPTION} (Heusel et al. 2017); biased upwards for small sets."
    ),
    "sfd": Metric("SFD (SqueezeNet)", Better.LOWER, 0, f"{SIMPLIFIED} {SQUEEZENET} (after Kim et al. 2020)."),
    "sfd_inception": Metric("SFD (Inception)", Better.LOWER, 2, f"{SIMPLIFIED} {INCEPTION} (after Kim et al. 2020)."),
    "bhattacharyya": Metric(
        "Bhattacharyya distance",
        Better.LOWER,
        4,
        "-ln sum sqrt(p q) of the histograms of all pixels of all translations and of all targets (Bhattacharyya "
        f"1943), 256 bins over 0..1, {IMAGES}.",
    ),
    "lpips": Metric(
        "LPIPS-type (SqueezeNet)",
        Better.LOWER,
        4,
        f"Squared difference {PAIR} in unit-length SqueezeNet 1.0 features (conv1, fire4, fire8), mean over places and "
        "layers (Zhang et al. 2018, Eq. 1, all weights one instead of the fitted ones).",
    ),
    "dice": Metric(
        "Dice",
        Better.HIGHER,
        3,
        "2 |A and B| / (|A| + |B|) of a mask and its reference; not defined if both are empty.",
    ),
    "miou": Metric(
        "mIoU",
        Better.HIGHER,
        3,
        "Mean of the intersection over union of the structure and of the background; not defined if both masks are "
        "empty.",
    ),
    "accuracy": Metric("Accuracy", Better.HIGHER, 4, "Share of all pixels on which mask and reference agree."),
    "hd95_mm": Metric(
        "HD95 [mm]",
        Better.LOWER,
        2,
        "95th percentile of the distances from the boundary pixels of one mask to the other's boundary, the greater of "
        "both directions; not defined if one mask is empty.",
    ),
    "boundary_px": Metric(
        "Boundary distance [px]",
        Better.LOWER,
        2,
        "Mean distance between the boundaries of the segmented output and of the source's label carried along the "
        "field, both ways, over all their boundary pixels, mean over the slices; slices in which one mask is empty are "
        "left out.",
    ),
    "boundary_median_px": Metric(
        "Boundary distance, median [px]",
        Better.LOWER,
        2,
        "As the boundary distance, but the median over the slices of a patient, in which single slices weigh little.",
    ),
    "boundary_identity_px": Metric(
        "Boundary distance, label left [px]",
        Better.NEITHER,
        2,
        "As the boundary distance, but to the source's label left where it was: what it is if the field is ignored.",
    ),
    "missed": Metric(
        "Missed slices",
        Better.LOWER,
        1,
        "Number of the labelled slices of a patient in whose output nothing was found; the boundary distances leave "
        "them out.",
    ),
    **{
        f"dice_kmeans_{count}": Metric(
            f"Dice, K-means {count}",
            Better.HIGHER,
            3,
            f"Mean Dice over the clusters of the segmentations of translation and target by K-means with {count} "
            "clusters that was fitted on training slices of the target modality alone (LMIDiffusion, Section 3), all "
            "slices of a patient together.",
        )
        for count in KMEANS
    },
    "dice_tissue": Metric(
        "Dice, tissues",
        Better.HIGHER,
        3,
        "Mean over the named tissues of the Dice of the true label map and of the translation, segmented inside the "
        "named tissues by the tissue that is most frequent at each of 128 intensities in training images of the "
        "target; not defined where no named tissue is.",
    ),
    "round_trip_px": Metric(
        "Round trip [px]",
        Better.LOWER,
        3,
        "Mean distance in pixels between a point of the output and where the field and then its inverse bring it, over "
        "the points that both cover.",
    ),
    "round_trip_mean_px": Metric(
        "Round trip, mean [px]",
        Better.LOWER,
        4,
        f"Mean of the distance in pixels after the field and its inverse, of both orders the greater, {WHOLE}.",
    ),
    "round_trip_p999_px": Metric(
        "Round trip, 99.9 % [px]",
        Better.LOWER,
        3,
        "99.9th percentile over a slice of the distance in pixels after the field and its inverse, of both orders the "
        "greater, in the slice where it is greatest.",
    ),
    "folded": Metric(
        "Folded share",
        Better.LOWER,
        4,
        "Share of the pixels where the Jacobian determinant of the field is not positive.",
    ),
    "det_j_min": Metric(
        "min det J",
        Better.NEITHER,
        3,
        "Smallest Jacobian determinant of the field at any pixel; 1 keeps areas, 0 or less folds. In a check of "
        "fields: of the field and its inverse, and in 3-D as well where the slices are of one volume.",
    ),
    "smoothness": Metric(
        "Roughness |J - I|",
        Better.NEITHER,
        3,
        "Mean Frobenius norm of the Jacobian of the mapping minus the identity, without a unit; 0 is a translation.",
    ),
    "displacement_mean_px": Metric(
        "Displacement, mean [px]", Better.NEITHER, 2, f"Mean length of the displacements of the field, {WHOLE}."
    ),
    "displacement_max_px": Metric(
        "Displacement, max [px]", Better.NEITHER, 2, f"Greatest length of the displacements of the field, {WHOLE}."
    ),
    "nmi_output_moved": Metric(
        "NMI, output and moved source",
        Better.HIGHER,
        3,
        f"{ALONG} the output and the source carried along the field, mean over the slices; above the next two where "
        "the output follows its field.",
    ),
    "nmi_output_still": Metric(
        "NMI, output and source", Better.NEITHER, 3, f"{ALONG} the output and the source left where it was."
    ),
    "nmi_output_undone": Metric(
        "NMI, output and source moved back",
        Better.NEITHER,
        3,
        f"{ALONG} the output and the source carried the wrong way, along the inverse: a control, because any "
        "interpolation changes the likeness.",
    ),
    "nmi_target_moved": Metric(
        "NMI, target and moved source",
        Better.HIGHER,
        3,
        f"{ALONG} the true target and the source carried along the field; not defined without pairs.",
    ),
    "nmi_target_still": Metric(
        "NMI, target and source",
        Better.NEITHER,
        3,
        f"{ALONG} the true target and the source left where it was; not defined without pairs.",
    ),
    "slices": Metric("Slices", Better.NEITHER, 0, "Number of slices that the figures of the row are of."),
    "cases": Metric("Cases", Better.NEITHER, 0, "Number of cases that the figures of the row are of."),
    "known_px": Metric(
        "Known displacement [px]", Better.NEITHER, 2, f"Mean length of the known displacement {INSIDE}."
    ),
    "error_px": Metric(
        "Error of known map [px]",
        Better.LOWER,
        2,
        f"Mean distance between where the recovered and the known deformation map the points {INSIDE}.",
    ),
    "known_error_mm": Metric("Error of known map [mm]", Better.LOWER, 2, "The error of the known map in mm."),
    "floor_px": Metric(
        "Floor of the error [px]",
        Better.NEITHER,
        2,
        "Mean length of the random part of the known displacement, which differs from case to case and can only be "
        f"guessed, {INSIDE}: the error of one who knows both domains perfectly.",
    ),
    "reached": Metric(
        "Recovered",
        Better.HIGHER,
        0,
        "1 where the error is at most a third of the known displacement and at most 1 px above the floor, else 0.",
    ),
    "ledger_lesions": Metric("Lesions", Better.NEITHER, 0, "Number of lesions of the stated volume or more."),
    "ledger_listed": Metric(
        "Listed",
        Better.NEITHER,
        0,
        "Number of lesions that an entry of the ledger lists: a quarter of its volume, or its middle, lies inside.",
    ),
    "ledger_share": Metric("Listed, share", Better.NEITHER, 2, "Lesions listed over all lesions."),
    "ledger_false": Metric(
        "False entries a patient", Better.NEITHER, 2, "Entries that list no lesion, mean over the patients."
    ),
    "ledger_chance": Metric(
        "Share by chance",
        Better.NEITHER,
        2,
        "Share of the lesions that the same regions list when they are thrown to random places in the body.",
    ),
    "ledger_ml": Metric("Volume [ml]", Better.NEITHER, 1, "Of the lesion; unknown slice distances count as 5 mm."),
    "contrast_source": Metric("In the source", Better.NEITHER, 2, f"{CONTRAST} the source."),
    "contrast_output": Metric("In the output", Better.NEITHER, 2, f"{CONTRAST} the output."),
    "contrast_target": Metric("In the true target", Better.NEITHER, 2, f"{CONTRAST} the true target."),
    "ledger_strength": Metric(
        "Strength", Better.NEITHER, 2, "Largest strength in the lesion on the source's side, whatever the region."
    ),
    "ledger_balls": Metric("Balls", Better.NEITHER, 0, "Number of balls that were put in, half of them dark."),
    "ledger_found": Metric("Found, share", Better.NEITHER, 2, "Share of the balls that an entry lists at strength 1."),
    "ledger_right_side": Metric(
        "Right side, share", Better.NEITHER, 2, "Share of the balls found whose entry names the side that has them."
    ),
    "ledger_more_false": Metric(
        "More false entries a patient",
        Better.NEITHER,
        2,
        "Entries that list no ball, beyond those that were there without balls.",
    ),
    "trust_ratio": Metric(
        "Error, least over most trusted tenth",
        Better.HIGHER,
        2,
        f"Mean absolute error in the tenth of the places that the map trusts least over that in the tenth it trusts "
        f"most, {BODY}.",
    ),
    "trust_ratio_shown": Metric(
        "The same, where the source shows the body",
        Better.HIGHER,
        2,
        "The same inside the filled outline of the source alone.",
    ),
    "trust_ratio_slice": Metric(
        "The same, whole slice", Better.HIGHER, 1, "The same over all places of the slices, the air around included."
    ),
    "trust_rank": Metric(
        "Rank correlation", Better.HIGHER, 3, f"Spearman's, of what the map says and the true absolute error, {BODY}."
    ),
    "trust_level": Metric(
        "Expected over true error",
        Better.NEITHER,
        2,
        f"Mean expected error over mean true error, {BODY}; 1 where the level is right.",
    ),
    "trust_expected": Metric("Expected error", Better.NEITHER, 4, f"Mean over the tenth, {BODY}; {IMAGES}."),
    "trust_found": Metric("True error", Better.NEITHER, 4, f"Mean absolute error of the tenth, {BODY}; {IMAGES}."),
    "pixel_mm": Metric("Pixel [mm]", Better.NEITHER, 2, "Size of a pixel of the slice grid."),
    "seconds": Metric(
        "Time [s/slice]", Better.LOWER, 3, "Wall time of the translation of one slice on the stated device."
    ),
}
