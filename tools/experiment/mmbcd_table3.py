"""Table 3 of the MMBCD paper on your data: vision alone, with each encoder whose weights you name.

    python3 tools/experiment/mmbcd_table3.py --datalist DATALIST.json --out out/table3 \
        --encoders resnet50=resnet50.pth clip_resnet50=RN50.pt vit_b16=augreg.npz clip_vit_b16=ViT-B-16.pt \
        dino_vits8=dino_deitsmall8_pretrain.pth --train epochs=100 learning_rate=1e-6 encoder_rate=1

Any encoder of `common/networks/vision_encoders.py` may be a row; `NAME=` without a file starts from random
weights and says so. Rows of the paper whose weights are not named are listed as not run. A row that is
finished is not repeated. Writes table3.csv, .md and .png.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from experiment.mmbcd_runs import Paper, publish, read_command, run_row, start, to_row

TITLES = {
    "resnet50": "ResNet50, ImageNet",
    "clip_resnet50": "ResNet50, CLIP",
    "vit_b16": "ViT, ImageNet",
    "clip_vit_b16": "ViT, CLIP",
    "dino_vits8": "ViT, DINO",
}
PAPER: dict[str, Paper] = {
    "resnet50": (0.94, 0.63, 0.914, 0.96, 0.62, 0.882),
    "clip_resnet50": (0.94, 0.64, 0.853, 0.96, 0.65, 0.817),
    "vit_b16": (0.94, 0.61, 0.878, 0.95, 0.57, 0.855),
    "clip_vit_b16": (0.94, 0.66, 0.908, 0.96, 0.65, 0.884),
    "dino_vits8": (0.94, 0.69, 0.928, 0.96, 0.66, 0.900),
}


def main(arguments: list[str]) -> None:
    """Run and write. Raises BundleError."""
    more = ("encoders", "NAME=FILE of the vision encoder's weights, several")
    options = read_command("Table 3 of MMBCD.", arguments, more)
    encoders = read_encoders(options.encoders)
    rows = []
    for name, file in encoders.items():
        switches = {"vision": name, "vision_weights": file, "use_text": False, "mask_rate": 0.0}
        found = run_row(options.out / name, options, switches, {"vision_weights": file})
        title = TITLES.get(name, name) + ("" if file else ", untrained")
        rows.append(to_row(title, found, options.level, PAPER.get(name)))
    publish(options.out, "table3", rows, format_remarks(options.level, encoders))


def read_encoders(words: Sequence[str]) -> dict[str, str | None]:
    """Encoder -> file with its weights, None for random ones.

    Raises:
        ConfigError: none, not of the form NAME=FILE, an unknown encoder, or a file that is not there.
    """
    from common.errors import ConfigError
    from common.networks.vision_encoders import ENCODERS

    if not words:
        raise ConfigError(f"encoders: expected NAME=FILE, got none: names are {', '.join(ENCODERS)}")
    found: dict[str, str | None] = {}
    for word in words:
        name, equals, file = word.partition("=")
        if not equals or name not in ENCODERS:
            raise ConfigError(
                f"encoders: expected NAME=FILE with a name of {', '.join(ENCODERS)}, got '{word}': correct it"
            )
        if file and not Path(file).is_file():
            raise ConfigError(
                f"encoders: expected weights of {name}, got no file '{Path(file).name}': get it"
            )
        found[name] = file or None
    return found


def format_remarks(level: str, encoders: Mapping[str, str | None]) -> str:
    """What the figures are of, and which rows of the paper were not run."""
    absent = [title for name, title in TITLES.items() if name not in encoders]
    text = f"Figures of each {level} of the test patients; the paper's are of other patients."
    return f"{text} Not run, no weights named: {', '.join(absent)}." if absent else text


if __name__ == "__main__":
    sys.exit(start(main))
