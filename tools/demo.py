"""Every bundle on a sample: gets weights and sample, runs the bundle's inference, names what it wrote.

    python3 tools/demo.py [--bundle NAME] [--output DIR]

Makes `.venv` first when it is not there. Results: `out/demo/NAME/`, or `DIR/NAME/`.
"""

import argparse
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import _base
import _registry
import _venv
from _base import ROOT, ToolError, clock, say


@dataclass(frozen=True)
class Demo:
    """How one bundle is shown.

    Attributes:
        sample: entry of weights.json that is the input; with `maker` the path that it makes.
        option: option of the bundle's inference.json that takes the input.
        meanings: what a person finds in each result, by a pattern of its name; the most important first.
        options: further options of the inference.
        maker: tool that generates the sample ("make PATH") and judges a result ("score PATH --result FILE").
        judged: the result that the maker judges.
        weights: file of the repository without which there is nothing to show.
    """

    sample: str
    option: str
    meanings: tuple[tuple[str, str], ...]
    options: tuple[str, ...] = ()
    maker: str = ""
    judged: str = ""
    weights: str = ""


DEMOS = {
    "wsi_scale_selector": Demo(
        sample="cmu-small-region",
        option="--slide",
        meanings=(
            ("report.html", "the report: verdict, pictures, evidence (open it in a browser)"),
            ("class_map.png", "coloured map of the tissue classes over the slide"),
            ("histogram.png", "how many points proposed each magnification"),
            ("curves.png", "distance to each class against magnification, for single points"),
            ("class_map.geojson", "tissue regions for QuPath"),
            ("class_map.ome.tif", "class map as pyramidal OME-TIFF"),
            ("scale.json", "the verdict with everything that led to it"),
            ("doctor.json", "what the file says about its own resolution, and whether the content agrees"),
        ),
    ),
    "ksam_kidney_seg": Demo(
        sample=".cache/samples/kidney_phantom",
        option="--input",
        meanings=(
            (
                "report.html",
                "the report: volumes, pictures, how sure, the examples used (open it in a browser)",
            ),
            ("slices.png", "slices with the outlines, enlarged, and where the examples disagree"),
            ("coronal.png", "everything that was found, from the front"),
            ("prompts.png", "the example slices that told the network what to segment"),
            ("*_seg.nii.gz", "label map: 1 cortex, 2 medulla, 3 artery"),
            ("dicom/*_seg.dcm", "the same as DICOM Segmentation"),
            ("dicom/*_sr.dcm", "the volumes as DICOM Structured Report"),
            ("volumes.json", "millilitres by side, with everything that led to them"),
        ),
        options=("--prompts", "bundles/ksam_kidney_seg/prompts/kidney_phantom"),
        maker="tools/phantoms/kidney_sample.py",
        judged="kidney_phantom_seg.nii.gz",
        weights="bundles/ksam_kidney_seg/models/kidney_phantom_delta.safetensors",
    ),
    "mmbcd_mammo": Demo(
        sample="mammograms",
        option="--study",
        meanings=(
            (
                "*/report.html",
                "the report: scores, views with their regions (open it in a browser)",
            ),
            ("*/overview.png", "the four views as they are hung, the region with most attention in red"),
            ("*/result.json", "scores, regions and history, with everything that led to them"),
            ("*/dicom/result_sr.dcm", "the same as DICOM Structured Report"),
            ("*/dicom/overview_sc.dcm", "the overview as Secondary Capture, for every viewer"),
            ("*/dicom/*_gsps.dcm", "presentation state: the boxes over an untouched mammogram"),
            ("*/?_*.png", "a view with its regions"),
            ("summary.json", "what became of each study"),
        ),
        weights="bundles/mmbcd_mammo/models/mmbcd.safetensors",
    ),
}


def main(arguments: list[str]) -> int:
    """Show one bundle or all. Returns the exit status of the first that failed."""
    options = parse(arguments)
    try:
        names = choose_bundles(options.bundle)
        _venv.enter_venv()
        statuses = [show(name, DEMOS[name], options.output / name) for name in names]
    except ToolError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.status
    return next((status for status in statuses if status), 0)


def parse(arguments: list[str]) -> argparse.Namespace:
    """The options; a relative folder is meant from where the user stands."""
    parser = argparse.ArgumentParser(description="Runs the bundles on real samples.")
    parser.add_argument("--bundle", help=f"one of {', '.join(DEMOS)} (default: all)")
    parser.add_argument("--output", type=Path, default=ROOT / "out" / "demo", metavar="DIR")
    options = parser.parse_args(arguments)
    options.output = options.output.absolute()
    return options


def choose_bundles(name: str | None) -> list[str]:
    """That bundle, or all whose weights stand.

    Raises:
        ToolError: a name that is not known, or a bundle without its weights.
    """
    if name is not None and name not in DEMOS:
        raise ToolError(f"expected a known bundle, got {name}: choose from {', '.join(DEMOS)}")
    if name is None:
        return [known for known, demo in DEMOS.items() if (ROOT / demo.weights).exists()]
    if not (ROOT / DEMOS[name].weights).exists():
        raise ToolError(
            f"{name}: expected {DEMOS[name].weights}, got no such file: no trained weights come with this "
            "bundle yet, train them as its docs/README.md tells"
        )
    return [name]


def show(name: str, demo: Demo, output: Path) -> int:
    """Get what the bundle needs, run its inference, name the results. Returns the exit status."""
    status = run([str(ROOT / "tools" / "weights.py"), "get", "--bundle", name])
    if status:
        return status
    sample = bring_sample(demo)
    say(f"== {name} on {shorten(sample)}")
    started_s = time.time()
    status = run([*build_command(name, demo.option, sample, output), *demo.options])
    if status:
        print(
            f"error: {name}: the inference ended with status {status}: its message is above", file=sys.stderr
        )
        return status
    say(f"== {name}: done after {clock(time.time() - started_s)}")
    for line in describe_results(demo, output, started_s):
        say(line)
    if demo.judged:
        return run([str(ROOT / demo.maker), "score", str(sample), "--result", str(output / demo.judged)])
    return 0


def bring_sample(demo: Demo) -> Path:
    """The input: an entry that was fetched, or generated when it is not there. Raises ToolError."""
    if not demo.maker:
        (sample,) = _registry.select(_registry.load_registry(), demo.sample, None)
        return sample.target_path
    path = ROOT / demo.sample
    if not path.exists():
        say(f"generating {demo.sample}")
        path.parent.mkdir(parents=True, exist_ok=True)
        status = run([str(ROOT / demo.maker), "make", str(path)])
        if status:
            raise ToolError(
                f"expected {demo.maker} to make the sample, got status {status}: its message is above"
            )
    return path


def build_command(name: str, option: str, sample: Path, output: Path) -> list[str]:
    """Arguments of Python that run the bundle as any user of MONAI would, from the repository's root."""
    bundle = f"bundles/{name}"
    command = ["-m", "monai.bundle", "run", "--config_file", f"{bundle}/configs/inference.json"]
    return [*command, "--bundle_root", bundle, option, str(sample), "--output_dir", str(output)]


def run(arguments: list[str]) -> int:
    """Run `.venv`'s Python with these arguments at the repository's root; its output passes through."""
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, stdin=subprocess.DEVNULL).returncode


def describe_results(demo: Demo, output: Path, since_s: float) -> list[str]:
    """One line per file written since then, the most important first: its path and what a person finds in it.

    Raises:
        ToolError: nothing was written.
    """
    files = [
        path for path in sorted(output.rglob("*")) if path.is_file() and path.stat().st_mtime >= since_s - 1
    ]
    if not files:
        raise ToolError(
            f"expected results in {output}, got none: run the inference alone to see its messages"
        )
    ranked = sorted((rank_meaning(demo, path), path) for path in files)
    width = max(len(shorten(path)) for path in files)
    return [f"  {shorten(path):{width}}  {meaning}".rstrip() for (_, meaning), path in ranked]


def rank_meaning(demo: Demo, path: Path) -> tuple[int, str]:
    """Place in the list and one-line meaning of a result."""
    for rank, (pattern, meaning) in enumerate(demo.meanings):
        if path.match(pattern):
            return rank, meaning
    return len(demo.meanings), ""


def shorten(path: Path) -> str:
    """The path as seen from where the user stands, when it lies below."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


if __name__ == "__main__":
    _base.run_tool(main)
