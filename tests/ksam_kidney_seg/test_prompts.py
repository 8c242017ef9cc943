"""Tasks and templates: what goes to disk comes back, and what does not fit is refused."""

import json
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image

from common.errors import BundleError, ConfigError, InputError, OutputError
from ksam.frame import Window
from ksam.prompts import Task, Template, list_tasks, load_task, save_task
from ksam.structures import Code, Structure

CORTEX = Structure("cortex", 1, Code("SCT", "50403003", "Cortex of kidney"), (255, 0, 0))
MEDULLA = Structure("medulla", 2, None, (0, 255, 0))
DISC, CUP = Structure("disc", 1, None, (1, 2, 3)), Structure("cup", 2, None, (4, 5, 6), "disc")
WINDOW = Window(40, 400)


def make_mask(shape: tuple[int, int], row: int) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[row : row + 2, 1:4] = True
    return mask


def ct_template(name: str = "a", dtype: type = np.int16, **changes: object) -> Template:
    image = (np.arange(6 * 8).reshape(6, 8) * 50 - 1024).astype(dtype)
    masks = {"cortex": make_mask((6, 8), 0), "medulla": make_mask((6, 8), 3)}
    kept = {"image": image, "masks": masks, "spacing_mm": (0.75, 0.5), "position": 0.25, **changes}
    return Template(name, provenance={"file": "x.nii.gz", "slice": 3}, **kept)  # type: ignore[arg-type]


def ct_task(*templates: Template, **changes: object) -> Task:
    task = Task("kidney", "CT", WINDOW, "none", (CORTEX, MEDULLA), templates or (ct_template(),), "CC0")
    return replace(task, **changes)  # type: ignore[arg-type]


def picture_task() -> Task:
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    disc = make_mask((5, 7), 0) | make_mask((5, 7), 3)
    template = Template("p", image, {"disc": disc, "cup": make_mask((5, 7), 3)})
    return Task("fundus", "picture", None, "none", (CUP, DISC), (template,))


@pytest.mark.parametrize("dtype", [np.int16, np.float32])
def test_a_ct_task_comes_back_as_it_was(tmp_path: Path, dtype: type) -> None:
    saved = save_task(ct_task(ct_template(dtype=dtype)), tmp_path / "kidney")
    task = load_task(tmp_path / "kidney")
    assert saved.folder == task.folder == tmp_path / "kidney"
    assert (task.name, task.modality, task.window, task.crop) == ("kidney", "CT", WINDOW, "none")
    assert (task.structures, task.licence) == ((CORTEX, MEDULLA), "CC0")
    template, original = task.templates[0], saved.templates[0]
    assert template.image.dtype == dtype
    np.testing.assert_array_equal(template.image, original.image)
    for name in original.masks:
        np.testing.assert_array_equal(template.masks[name], original.masks[name])
    assert (template.spacing_mm, template.position) == ((0.75, 0.5), 0.25)
    assert template.provenance == original.provenance
    assert template.image_sha256 == original.image_sha256


def test_a_picture_task_comes_back_in_the_order_of_values(tmp_path: Path) -> None:
    saved = save_task(picture_task(), tmp_path / "fundus")
    task = load_task(tmp_path / "fundus" / "task.json")
    assert task.structure_names == ("disc", "cup") == saved.structure_names
    assert task.structures[1].parent == "disc"
    np.testing.assert_array_equal(task.templates[0].image, saved.templates[0].image)


def test_the_saved_slice_stands_upright_in_a_viewer(tmp_path: Path) -> None:
    save_task(ct_task(), tmp_path / "kidney")
    volume = nibabel.load(tmp_path / "kidney" / "templates" / "a" / "image.nii.gz")
    assert nibabel.aff2axcodes(volume.affine) == ("L", "P", "S")
    assert volume.header.get_zooms()[:2] == (0.5, 0.75)  # columns first
    flipped = nibabel.as_closest_canonical(volume)
    nibabel.save(flipped, tmp_path / "kidney" / "templates" / "a" / "image.nii.gz")
    np.testing.assert_array_equal(load_task(tmp_path).templates[0].image, ct_template().image)


def test_a_library_gives_its_only_task_or_the_named_one(tmp_path: Path) -> None:
    save_task(ct_task(), tmp_path / "one")
    assert load_task(tmp_path).name == "kidney"
    save_task(picture_task(), tmp_path / "two")
    assert load_task(tmp_path, "two").name == "fundus"
    assert [folder.name for folder in list_tasks(tmp_path)] == ["one", "two"]
    with pytest.raises(InputError, match="expected one task .*got one, two: name one"):
        load_task(tmp_path)
    with pytest.raises(InputError, match="expected the task 'three', got one, two"):
        load_task(tmp_path, "three")


def test_no_library_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere: expected a prompt library"):
        load_task(tmp_path / "nowhere")
    with pytest.raises(InputError, match="expected one task .*got none"):
        load_task(tmp_path)


def spoil(folder: Path, **changes: object) -> None:
    content = json.loads((folder / "task.json").read_text())
    (folder / "task.json").write_text(json.dumps({**content, **changes}))


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"version": 9}, "expected format 'ksam-task' version 1"),
        ({"templates": [{"id": "a"}]}, "malformed entry .KeyError 'masks'"),
        ({"templates": []}, "expected a template that shows 'cortex', got none"),
        ({"modality": "MR"}, "expected modality CT or picture, got 'MR'"),
        ({"crop": "head"}, "expected crop none or body or region, got 'head'"),
        ({"window": None}, "expected a window for modality CT"),
        ({"window": {"center_hu": 0, "width_hu": 0}}, "expected a width above 0 HU"),
        (
            {"structures": [{"name": "liver", "value": 1}]},
            "expected one of the structures liver, got 'cortex'",
        ),
        ({"structures": []}, "expected at least one structure, got none"),
    ],
)
def test_a_task_file_that_does_not_fit_is_refused(tmp_path: Path, changes: dict, match: str) -> None:
    save_task(ct_task(), tmp_path)
    spoil(tmp_path, **changes)
    with pytest.raises(BundleError, match=match) as caught:
        load_task(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_task_file_that_is_no_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / "task.json").write_text("{")
    with pytest.raises(InputError, match="expected readable JSON, got JSONDecodeError"):
        load_task(tmp_path)


def entry_of(folder: Path, **changes: object) -> None:
    content = json.loads((folder / "task.json").read_text())
    spoil(folder, templates=[{**content["templates"][0], **changes}])


def test_files_that_are_missing_outside_or_damaged_are_refused(tmp_path: Path) -> None:
    save_task(ct_task(), tmp_path)
    mask = tmp_path / "templates" / "a" / "1_cortex.png"
    good = mask.read_bytes()
    mask.write_bytes(b"no picture")
    with pytest.raises(InputError, match="1_cortex.png: expected a mask picture"):
        load_task(tmp_path)
    mask.unlink()
    with pytest.raises(InputError, match="expected the file templates/a/1_cortex.png, got none"):
        load_task(tmp_path)
    mask.write_bytes(good)
    entry_of(tmp_path, image="../elsewhere.nii.gz")
    with pytest.raises(InputError, match="expected files inside the task folder, got '../elsewhere.nii.gz'"):
        load_task(tmp_path)
    (tmp_path / "bad.nii.gz").write_bytes(b"no volume")
    entry_of(tmp_path, image="bad.nii.gz")
    with pytest.raises(InputError, match="bad.nii.gz: expected a template's slice"):
        load_task(tmp_path)
    nibabel.save(nibabel.Nifti1Image(np.zeros((4, 4, 2), np.int16), np.eye(4)), tmp_path / "two.nii.gz")
    entry_of(tmp_path, image="two.nii.gz")
    with pytest.raises(InputError, match="expected one axial slice, got"):
        load_task(tmp_path)


def test_masks_on_disk_are_checked(tmp_path: Path) -> None:
    save_task(ct_task(), tmp_path)
    mask = tmp_path / "templates" / "a" / "1_cortex.png"
    Image.fromarray(np.zeros((6, 8), np.uint8)).save(mask)
    with pytest.raises(InputError, match="structure 'cortex': expected a labelled area, got an empty mask"):
        load_task(tmp_path)
    Image.fromarray(np.ones((5, 8), np.uint8)).save(mask)
    with pytest.raises(InputError, match="expected a mask of the slice's size 6x8, got 5x8"):
        load_task(tmp_path)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"image": np.zeros((6, 8, 2))}, "expected a slice .*got .6, 8, 2."),
        ({"image": np.zeros((6, 8, 3), np.float32)}, "expected an 8-bit picture, got float32"),
        ({"image": np.full((6, 8), np.nan)}, "expected finite pixels"),
        ({"masks": {"cortex": np.ones((6, 8), np.uint8)}}, "expected a mask of booleans, got uint8"),
        ({"masks": {}}, "expected a mask of a structure, got none"),
        ({"position": 1.5}, "expected a position from 0 to 1, got 1.5"),
        ({"spacing_mm": (1.0, 0.0)}, "expected spacings above 0 mm"),
    ],
)
def test_a_template_that_does_not_fit_is_refused(changes: dict, match: str) -> None:
    with pytest.raises(InputError, match=match):
        ct_template(**changes)


def test_a_task_in_memory_is_checked() -> None:
    with pytest.raises(InputError, match="expected an id of its own for each template"):
        ct_task(ct_template(), ct_template())
    with pytest.raises(InputError, match="template 'p': expected a CT slice, got a picture one"):
        ct_task(ct_template(), *picture_task().templates)
    with pytest.raises(InputError, match="expected no window for modality picture"):
        replace(picture_task(), window=WINDOW)
    with pytest.raises(ConfigError, match="expected a value of its own"):
        ct_task(structures=(CORTEX, replace(MEDULLA, value=1)))
    with pytest.raises(InputError, match="expected a CT as its templates are, got a picture"):
        ct_task().check_input("picture")
    ct_task().check_input("CT")


def test_a_structure_is_taken_from_the_templates_that_show_it() -> None:
    only = ct_template("b", masks={"cortex": make_mask((6, 8), 2)})
    task = ct_task(ct_template(), only)
    assert [template.id for template in task.templates_of("cortex")] == ["a", "b"]
    assert [template.id for template in task.templates_of("medulla")] == ["a"]


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="expected a writable place"):
        save_task(ct_task(), tmp_path / "file" / "kidney")
