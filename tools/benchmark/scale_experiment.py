"""Does the distance to the hyperplanes peak at the training scale? Generated slides with a known truth.

    python3 tools/benchmark/scale_experiment.py --classifier x20=RUN20/classifier.json \
        --classifier x10=RUN10/classifier.json --split test --out out/scale_experiment

The classifiers come from `configs/train.json` on slides of tools/phantoms/histology.py with seeds from 1000
on (docs/scale_experiment.md of the bundle has the commands). Seeds from 2000 on (`dev`) serve for choosing an
aggregation and thresholds, seeds from 4000 on (`test`) for reporting; the page says which were read. Slides
and features are kept in --out: a second run goes on after an interruption, or takes a fraction of the time
with other thresholds.
"""

import argparse
import csv
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "bundles" / "wsi_scale_selector")]
import _venv  # noqa: E402


def main(arguments: list[str]) -> int:
    """Run and write. Returns the exit status."""
    options = parse(arguments)
    _venv.enter_venv()
    os.environ.setdefault("TQDM_DISABLE", "1")  # one line per slide is progress enough
    from common.errors import BundleError

    try:
        run(options)
    except BundleError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Scale search on generated slides.", allow_abbrev=False)
    parser.add_argument("--classifier", action="append", required=True, help="xNN=PATH/classifier.json")
    parser.add_argument("--split", choices=("dev", "test"), default="dev")
    parser.add_argument("--out", type=Path, required=True, help="folder for slides, features, tables, figure")
    parser.add_argument("--seed", type=int, help="first seed (default: 2000 for dev, 4000 for test)")
    parser.add_argument("--slides", type=int, default=20, help="tissue slides (default 20)")
    parser.add_argument("--others", type=int, default=5, help="slides of every other kind (default 5)")
    parser.add_argument("--points", type=int, default=100, help="tissue points per slide (default 100)")
    parser.add_argument("--criterion", default="column_norm", help="of the tables of conditions and classes")
    parser.add_argument("--aggregation", default="mean_curve", help="of the table of conditions")
    parser.add_argument("--rule", default="{}", help="thresholds of the verdict as JSON")
    return parser.parse_args(arguments)


def run(options: argparse.Namespace) -> None:
    """All cases under all classifiers. Raises BundleError."""
    from experiment.material import AT_THE_END, FIRST_SEED, list_cases
    from experiment.runs import PAPER_MPP, Examination, build_subject

    from common.errors import ConfigError
    from scale_selector.inferer import SearchSettings, build_rule

    subjects = []
    for text in options.classifier:
        name, separator, path = text.partition("=")
        if not separator or not name.startswith("x"):
            raise ConfigError(f"--classifier: expected xNN=PATH, got '{text}': e.g. x20=run/classifier.json")
        subjects.append(build_subject(name, Path(path)))
    try:
        rule = build_rule(dict(json.loads(options.rule)))
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"--rule: expected JSON with fields of VerdictRule, got '{options.rule}'"
        ) from error
    settings = SearchSettings(
        points=options.points, criterion=options.criterion, aggregation=options.aggregation, rule=rule
    )
    rows: list[dict[str, Any]] = []
    points: list[dict[str, Any]] = []
    seed = FIRST_SEED[options.split] if options.seed is None else options.seed
    for case in list_cases(options.out / "slides", seed, options.slides, options.others):
        for subject in subjects:
            if case.condition == AT_THE_END and subject.spec.training_mpp == PAPER_MPP:
                continue  # the paper's set surrounds this truth
            started = time.perf_counter()
            new_rows, new_points = Examination(case, subject, options.out / "features", settings).run()
            rows += new_rows
            points += new_points
            print(f"{case.path.name} {subject.name}: {time.perf_counter() - started:.0f} s", flush=True)
    publish(options, rows, points, subjects, settings)


def publish(
    options: argparse.Namespace,
    rows: list[dict[str, Any]],
    points: list[dict[str, Any]],
    subjects: list[Any],
    settings: Any,
) -> None:
    """CSV, Markdown and the figure. Raises OutputError."""
    import numpy as np
    from experiment.figure import draw
    from experiment.material import AT_THE_END
    from experiment.runs import settings_around
    from experiment.tables import condition_table, point_table, verdict_table

    from common.io.files import atomic_path, write_text

    for name, content in (("slides", rows), ("points", points)):
        with (
            atomic_path(options.out / f"{options.split}_{name}.csv") as path,
            path.open("w", newline="") as file,
        ):
            writer = csv.DictWriter(file, content[0], lineterminator="\n")
            writer.writeheader()
            writer.writerows(content)
    sections = [
        "## Points: how far a point's proposal lies from the truth, by criterion",
        point_table(points, "criterion"),
        f"## Points: the same by true class ({options.criterion})",
        point_table(points, "class", lambda row: row["criterion"] == options.criterion),
        f"## Points: the same by shape of the curve ({options.criterion})",
        point_table(points, "shape", lambda row: row["criterion"] == options.criterion),
    ]
    for subject in subjects:
        sections += [
            f"## Slides: verdicts, classifier trained at {subject.name}",
            verdict_table(rows, subject.name),
        ]
        if any((row["condition"], row["classifier"]) == (AT_THE_END, subject.name) for row in rows):
            sections += [
                f"## Slides: the same with the paper's set, {subject.name} at its end",
                verdict_table(rows, subject.name, AT_THE_END),
            ]
    sections += [
        f"## Metadata and foreign content ({options.criterion}, {options.aggregation})",
        condition_table(rows, options.criterion, options.aggregation),
    ]
    write_text(options.out / f"{options.split}_tables.md", "\n\n".join(sections) + "\n")
    scales = {s.name: np.array(settings_around(settings, s).scales, float) for s in subjects}
    draw(options.out / f"{options.split}_curves.png", points, scales, options.criterion)
    print(f"wrote {options.split}_tables.md, CSV and picture to {options.out}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
