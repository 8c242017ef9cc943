import json

import cv2
import nibabel as nib
import numpy as np
import pytest

from common.errors import InputError
from ksam.datalist import load_datalist
from ksam.samples import OVERSAMPLING, load_samples, shrink_sample

EDGE = 48
STRUCTURES = [
    {"name": "disc", "values": [1, 2], "parent": None, "code": None, "color": [0, 255, 0]},
    {"name": "cup", "values": [2], "parent": "disc", "code": None, "color": [0, 0, 255]},
]


def _write(folder, count=3):
    entries = []
    for number in range(count):
        image = np.full((EDGE, EDGE, 3), 50 * number + 20, np.uint8)
        label = np.zeros((EDGE, EDGE), np.uint8)
        label[12:36, 12:36] = 1
        label[18:30, 18:30] = 2
        cv2.imwrite(str(folder / f"{number}.png"), image)
        cv2.imwrite(str(folder / f"{number}_label.png"), label)
        entries.append({"image": f"{number}.png", "label": f"{number}_label.png", "patient": str(number)})
    path = folder / "datalist.json"
    header = {"name": "t", "modality": "picture", "licence": "CC0", "window": None, "crop": "none"}
    path.write_text(json.dumps(header | {"structures": STRUCTURES, "training": entries}))
    return load_datalist(path, "training")


def test_samples_are_framed_at_twice_the_size(tmp_path):
    samples = load_samples(_write(tmp_path), size_px=16)
    edge = OVERSAMPLING * 16
    assert [sample.image.shape for sample in samples] == [(edge, edge, 3)] * 3
    assert [int(sample.image[0, 0, 0]) for sample in samples] == [20, 70, 120]
    assert [sample.patient for sample in samples] == ["0", "1", "2"]
    assert samples[0].masks.sum(axis=(1, 2)).tolist() == [(edge // 2) ** 2, (edge // 4) ** 2]


def test_only_the_structures_asked_for_are_read(tmp_path):
    samples = load_samples(_write(tmp_path), size_px=16, structures=["disc"])
    assert samples[0].masks.shape[0] == 1
    assert samples[0].masks[0].mean() == pytest.approx(0.25)


def test_without_augmentation_a_sample_is_averaged_to_the_size(tmp_path):
    sample = load_samples(_write(tmp_path), size_px=16)[1]
    image, masks = shrink_sample(sample, 16)
    assert image.shape == (16, 16, 3) and (image == 70).all()
    assert masks.sum(axis=(1, 2)).tolist() == [64, 16]


def test_an_unknown_structure_is_refused(tmp_path):
    with pytest.raises(InputError, match="structures: expected some of disc, cup, got 'rim'"):
        load_samples(_write(tmp_path), size_px=16, structures=["rim"])


def test_a_single_patient_is_refused(tmp_path):
    with pytest.raises(InputError, match="expected labelled slices of two patients or more"):
        load_samples(_write(tmp_path, 1), size_px=16)


def test_a_volume_gives_evenly_spread_slices_that_show_a_structure(tmp_path):
    entries = []
    for number in range(2):
        voxels = np.full((24, 24, 12), -100, np.int16)
        labels = np.zeros((24, 24, 12), np.uint8)
        labels[8:16, 8:16, 3:9] = 1
        for name, array in (("ct", voxels), ("label", labels)):
            nib.save(nib.Nifti1Image(array, np.eye(4)), tmp_path / f"{number}_{name}.nii.gz")
        entries.append(
            {"image": f"{number}_ct.nii.gz", "label": f"{number}_label.nii.gz", "patient": str(number)}
        )
    header = {"name": "t", "modality": "CT", "licence": "CC0", "crop": "none"}
    header |= {"window": {"center_hu": 0, "width_hu": 400}, "structures": [STRUCTURES[0] | {"values": [1]}]}
    path = tmp_path / "datalist.json"
    path.write_text(json.dumps(header | {"training": entries}))
    cases = load_datalist(path, "training")
    assert len(load_samples(cases, 16)) == 12
    samples = load_samples(cases, 16, slices_per_case=3)
    assert len(samples) == 6
    assert all(sample.masks.any() for sample in samples)
    assert samples[0].image[0, 0, 0] == round(100 / 400 * 255)
