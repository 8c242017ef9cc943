"""Serve a bundle to 3D Slicer, OHIF or QuPath by MONAI Label, on this machine only.

    python3 tools/label/serve.py NAME --studies DIR [--port 8000]

NAME is a folder of bundles/ (ksam_kidney_seg, mmbcd_mammo, wsi_scale_selector) or the path of an unpacked
bundle. DIR holds the images that clients may choose, and gets the labels that they submit. The first start
makes MONAI Label's environment in .cache/label/env.
"""

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import _venv
from _base import CACHE, ROOT, ToolError, run_tool, say

HERE = Path(__file__).resolve().parent
HOST = "127.0.0.1"


@dataclass(frozen=True)
class Serving:
    """How a bundle is served.

    Attributes:
        model: name for the clients; MONAI Label reads the kind of task out of it.
        app: "monaibundle", which serves any bundle, or the folder of an app of ours.
        suffixes: files of the studies folder that are images.
    """

    model: str
    app: str
    suffixes: tuple[str, ...]


SERVINGS = {
    "ksam_kidney_seg": Serving(
        "ksam_kidney_segmentation", "monaibundle", (".nii.gz", ".nii", ".nrrd", ".zip")
    ),
    "mmbcd_mammo": Serving("mmbcd_mammo_classification", "monaibundle", (".dcm", ".zip", ".png", ".tif")),
    "wsi_scale_selector": Serving(
        "wsi_scale_selector", "wsi_app", (".svs", ".tif", ".tiff", ".ndpi", ".scn", ".mrxs", ".dcm", ".png")
    ),
}


def main(arguments: list[str]) -> int:
    """Make what is missing, then become the server. Returns the exit status of a refusal."""
    options = parse(arguments)
    _venv.enter_venv()
    from environment import provide_environment

    try:
        bundle = find_bundle(options.name)
        check(bundle, options.studies, options.port)
        python = provide_environment()
        app = build_app(bundle, python)
    except ToolError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.status
    say(f"{SERVINGS[bundle.name].model} at http://{HOST}:{options.port} (Ctrl-C ends)")
    return start(python, app, bundle, options)


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Serves a bundle by MONAI Label.", allow_abbrev=False)
    parser.add_argument("name", help="folder in bundles/, or path of an unpacked bundle")
    parser.add_argument("--studies", type=Path, required=True, metavar="DIR", help="folder of the images")
    parser.add_argument("--port", type=int, default=8000, help="on 127.0.0.1 (default: 8000)")
    return parser.parse_args(arguments)


def find_bundle(name: str) -> Path:
    """The bundle's folder. Raises ToolError: there is no such bundle."""
    found = [path.resolve() for path in (ROOT / "bundles" / name, Path(name)) if path.is_dir()]
    if not found or found[0].name not in SERVINGS:
        raise ToolError(f"expected one of {', '.join(SERVINGS)}, got '{name}': name a bundle or its folder")
    return found[0]


def check(bundle: Path, studies: Path, port: int) -> None:
    """Raises ToolError: no weights, no folder that can be written, or the port is taken."""
    if not (bundle / "models" / "model.pt").is_file():
        raise ToolError(
            f"{bundle.name}: expected models/model.pt, got none: "
            f"python3 tools/weights.py get --bundle {bundle.name}"
        )
    if not studies.is_dir() or not os.access(studies, os.W_OK):
        raise ToolError(
            f"{studies}: expected a folder that can be written (labels are kept there), got none: name one"
        )
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except (OSError, OverflowError) as error:
            raise ToolError(f"--port: expected a free port, got {port}: choose another") from error


def build_app(bundle: Path, python: Path) -> Path:
    """The app's folder in .cache, made anew, with a link to the bundle in `model/`."""
    serving = SERVINGS[bundle.name]
    app = CACHE / "label" / "apps" / f"{serving.model}-{os.getpid()}"
    shipped = python.parents[1] / "monailabel" / "sample-apps" / serving.app
    source = HERE / serving.app if (HERE / serving.app).is_dir() else shipped
    app.mkdir(parents=True)
    shutil.copyfile(source / "main.py", app / "main.py")
    (app / "model").mkdir()
    (app / "model" / serving.model).symlink_to(bundle)
    return app


def start(python: Path, app: Path, bundle: Path, options: argparse.Namespace) -> int:
    """Run the server in the foreground; what it wrote besides labels is removed when it ends."""
    serving = SERVINGS[bundle.name]
    command = [str(python), str(HERE / "start.py"), "start_server", "--app", str(app)]
    command += ["--studies", str(options.studies.resolve()), "--host", HOST, "--port", str(options.port)]
    command += ["--uvicorn_app", "label_server:app", "--log_config", str(app / "logging.json")]
    settings = {"models": serving.model, "zoo_source": "ngc", "skip_trainers": "true", "sam2": "false"}
    for key, value in settings.items():
        command += ["--conf", key, value]
    shutil.copyfile(HERE / "logging.json", app / "logging.json")
    with tempfile.TemporaryDirectory(prefix="monai-label-") as temporary:
        process = subprocess.Popen(command, env=build_environ(serving, Path(temporary)), cwd=temporary)
        signal.signal(signal.SIGTERM, lambda *_: process.terminate())
        try:
            return process.wait()
        except KeyboardInterrupt:
            return process.wait()
        finally:
            shutil.rmtree(app, ignore_errors=True)


def build_environ(serving: Serving, temporary: Path) -> dict[str, str]:
    """The server's environment variables: nothing of it outlives the server, and no network is used."""
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "TMPDIR": str(temporary),
        "MONAI_LABEL_SESSION_PATH": str(temporary / "sessions"),
        "MONAI_LABEL_DATASTORE_FILE_EXT": json.dumps([f"*{suffix}" for suffix in serving.suffixes]),
        "MONAI_LABEL_TASKS_TRAIN": "false",
        "MONAI_LABEL_AUTO_UPDATE_SCORING": "false",
    }


if __name__ == "__main__":
    run_tool(main)
