"""Write workflows/: how the images are run by docker, Kubernetes, Argo Workflows and MONAI Deploy Express.

    python3 tools/map/write_workflows.py

Image names, paths and variables come from the same place as the images' manifests, resource requests from
app/resources.json, exit codes from app/outcome.py.
"""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE / "app")]

import _venv  # noqa: E402
from _base import ROOT, ToolError, run_tool, say  # noqa: E402


def main(arguments: list[str]) -> int:
    """Write every file. Returns the exit status."""
    if arguments:
        print("error: expected no argument, got some: see the head of the file", file=sys.stderr)
        return 2
    _venv.enter_venv()
    try:
        for file, text in render_all().items():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
            say(str(file.relative_to(ROOT)))
    except ToolError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def render_all(target: Path = HERE / "workflows") -> dict[Path, str]:
    """File -> text, for every bundle with a known input. Raises ToolError."""
    from map_image.bundle import INPUTS, read_package, read_resources
    from map_image.workflows import render

    packages = [read_package(ROOT / "bundles" / name, read_resources(name)) for name in sorted(INPUTS)]
    return {target / name: text for package in packages for name, text in render(package).items()}


if __name__ == "__main__":
    run_tool(main)
