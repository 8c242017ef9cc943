"""What trained weights make of histories that were tampered with: missing, shuffled, in another language.

    python3 tools/experiment/mmbcd_tampering.py --datalist DATALIST.json --weights FILE --output DIR

scores the test part with its own histories and with changed ones, everything else being what evaluate.json
does (any of its keys follows as KEY=VALUE: `boxes=DIR text_folder=DIR bootstrap=500`). It writes tampering.md
and tampering.csv: the area under the ROC of breasts with its 95 % interval over patients, how much of it the
change costs (both from the same draws of patients), and how far the scores move. To be read in two ways:

- the history is used if shuffled histories and swapped sides cost area;
- nothing breaks if histories that are missing, of other organs or not understood stay near the picture alone,
  whose row is the score that the network gives without any history.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from experiment.command import ROOT, format_rows, run_command

if TYPE_CHECKING:
    import numpy as np

    from mmbcd.case_scores import CaseScore
    from mmbcd.evaluate import MammoEvaluator
    from mmbcd.statistics import Interval, Scores

BUNDLE = ROOT / "bundles" / "mmbcd_mammo"
OWN, ALONE = "own", "picture alone"


def main(words: list[str]) -> None:
    """Score, print and write. Raises BundleError."""
    from common.io.files import write_text

    options = parse(words)
    evaluator = build_evaluator(options)
    rows = make_rows(score_all(evaluator), evaluator.bootstrap, evaluator.seed)
    table, markdown = format_rows(rows)
    card = evaluator.network.card
    markdown += f"\n{len(evaluator.material)} images, weights {card.name} ({card.purpose}).\n"
    write_text(options.output / "tampering.csv", table)
    write_text(options.output / "tampering.md", markdown)
    print(markdown, end="")


def parse(words: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Areas under the ROC with histories that were changed.")
    parser.add_argument("--datalist", type=Path, required=True, help="datalist of mammograms (JSON)")
    parser.add_argument("--weights", type=Path, required=True, help="trained weights of MMBCD")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder of the tables")
    parser.add_argument("settings", nargs="*", metavar="KEY=VALUE", help="keys of evaluate.json")
    return parser.parse_args(words)


def build_evaluator(options: argparse.Namespace) -> MammoEvaluator:
    """The evaluator of evaluate.json. Raises BundleError."""
    from monai.bundle import ConfigParser

    from common.errors import find_refusal

    config = ConfigParser.load_config_file(BUNDLE / "configs" / "evaluate.json")
    parser = ConfigParser(config)
    own = {"bundle_root": BUNDLE, "datalist": options.datalist, "weights": options.weights}
    given = {name: str(path) for name, path in own.items()} | {"output_dir": str(options.output)}
    try:
        parser.update(given | read_settings(options.settings, config))
        return parser.get_parsed_content("evaluator")
    except RuntimeError as error:
        refusal = find_refusal(error)
        if refusal is None:
            raise
        raise refusal from error


def read_settings(pairs: Sequence[str], known: Mapping[str, Any]) -> dict[str, Any]:
    """ "KEY=VALUE" as MONAI's command line reads them. Raises ConfigError: an unknown key, or no value."""
    import yaml

    from common.errors import ConfigError

    found = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or key not in known:
            raise ConfigError(f"settings: expected KEY=VALUE of evaluate.json, got '{pair}': see its keys")
        found[key] = yaml.safe_load(value)
    return found


def score_all(evaluator: MammoEvaluator) -> dict[str, list[CaseScore]]:
    """Cases of breasts, for every kind of history. Raises BundleError."""
    from experiment.mmbcd_histories import TAMPERS
    from mmbcd.evaluate import HISTORIES

    material = evaluator.material
    if not evaluator.allow_training_patients:
        evaluator.refuse_known(material.entries)
    found = {}
    for histories in HISTORIES:
        evaluator.histories = histories
        found[histories] = _score_breasts(evaluator, material.entries)
    evaluator.histories = OWN
    for name, tamper in TAMPERS.items():
        found[name] = _score_breasts(evaluator, tamper(material.entries, evaluator.seed))
    return found


def _score_breasts(evaluator: MammoEvaluator, entries: Sequence[Any]) -> list[CaseScore]:
    from mmbcd.case_scores import combine_levels

    return combine_levels(evaluator.score(entries, evaluator.material.part), *evaluator.rules)["breast"]


def make_rows(found: Mapping[str, Sequence[CaseScore]], times: int, seed: int) -> list[dict[str, Any]]:
    """The table.

    Args:
        found: kind of history -> the same breasts in the same order; "own" is what the others are held to.
        times, seed: of the bootstrap over patients.
    """
    import numpy as np

    from mmbcd.case_scores import to_scores

    own = found[OWN]
    alone = np.array([case.image_only for case in own])
    scores = {name: to_scores(cases) for name, cases in found.items()} | {ALONE: to_scores(own, alone)}
    areas = measure_areas(scores, times, seed)
    rows = []
    for name, changed in scores.items():
        area, cost = areas[name], areas[f"{name} less"]
        rows.append(
            {
                "histories": name,
                "AUC": area.value,
                "AUC, 95 %": _range(area),
                "less than own": None if name == OWN else cost.value,
                "less, 95 %": None if name == OWN else _range(cost),
                "mean change of score": float(np.abs(changed.scores - scores[OWN].scores).mean()),
            }
        )
    return rows


def measure_areas(scores: Mapping[str, Scores], times: int, seed: int) -> dict[str, Interval]:
    """NAME and "NAME less": areas, and what each lacks to "own", from the same draws of patients."""
    from mmbcd.statistics import auc, bootstrap

    def measure(weights: np.ndarray) -> dict[str, np.ndarray]:
        areas = {name: auc(cases, weights) for name, cases in scores.items()}
        return areas | {f"{name} less": areas[OWN] - area for name, area in areas.items()}

    return bootstrap(scores[OWN].patients, measure, times, seed)


def _range(interval: Interval) -> str:
    return f"{interval.low:.3f} to {interval.high:.3f}"


if __name__ == "__main__":
    sys.exit(run_command(main, BUNDLE))
