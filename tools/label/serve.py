"""Serve a bundle to 3D Slicer, OHIF or QuPath by MONAI Label, on this machine only.

    python3 tools/label/serve.py NAME --studies DIR [--port 8000] [--origin https://VIEWER ...]

NAME is a folder of bundles/ (ksam_kidney_seg, mmbcd_mammo, wsi_scale_selector) or the path of an unpacked
bundle. DIR holds the images that clients may choose, and gets the labels that they submit. Web pages of this
machine may use the server, and those of each --origin. The first start makes MONAI Label's environment in
.cache/label/env.
"""

import argparse
import json
import os
import re
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
from _base import ROOT, ToolError, run_tool, say

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
        check_origins(options.origin)
        python = provide_environment()
    except ToolError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.status
    say(f"{SERVINGS[bundle.name].model} at http://{HOST}:{options.port} (Ctrl-C ends)")
    return start(python, bundle, options)


def parse(arguments: list[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description="Serves a bundle by MONAI Label.", allow_abbrev=False)
    parser.add_argument("name", help="folder in bundles/, or path of an unpacked bundle")
    parser.add_argument("--studies", type=Path, required=True, metavar="DIR", help="folder of the images")
    parser.add_argument("--port", type=int, default=8000, help="on 127.0.0.1 (default: 8000)")
    help_text = "web pages that may use the server beside this machine's, e.g. https://ohif.example"
    parser.add_argument("--origin", action="append", default=[], metavar="URL", help=help_text)
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


def check_origins(origins: list[str]) -> None:
    """Raises ToolError: not scheme, host and perhaps port alone, as browsers write an origin."""
    for origin in origins:
        if not re.fullmatch(r"https?://[a-z0-9.-]+(:\d+)?", origin):
            raise ToolError(
                f"--origin: expected http(s)://HOST[:PORT] in small letters, got '{origin}': correct it"
            )


def build_app(bundle: Path, python: Path, app: Path) -> None:
    """Make the app's folder, with a link to the bundle in `model/`."""
    serving = SERVINGS[bundle.name]
    shipped = python.parents[1] / "monailabel" / "sample-apps" / serving.app
    source = HERE / serving.app if (HERE / serving.app).is_dir() else shipped
    (app / "model").mkdir(parents=True)
    shutil.copyfile(source / "main.py", app / "main.py")
    shutil.copyfile(HERE / "logging.json", app / "logging.json")
    (app / "model" / serving.model).symlink_to(bundle)


def start(python: Path, bundle: Path, options: argparse.Namespace) -> int:
    """Run the server in the foreground; what it wrote besides labels is removed when it ends.

    Returns:
        Its exit status; 128 and the number of the signal that ended it.
    """
    with tempfile.TemporaryDirectory(prefix="monai-label-") as folder:
        app = Path(folder) / "app"
        build_app(bundle, python, app)
        command, environ = (
            build_command(python, app, bundle, options),
            build_environ(bundle, options, app.parent),
        )
        process = subprocess.Popen(command, env=environ, cwd=folder)
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, lambda *_: process.terminate())
        try:
            status = process.wait()
        except KeyboardInterrupt:  # the server got it, too
            status = process.wait()
    return status if status >= 0 else 128 - status


def build_command(python: Path, app: Path, bundle: Path, options: argparse.Namespace) -> list[str]:
    """The words that start MONAI Label on an app's folder."""
    command = [str(python), str(HERE / "start.py"), "start_server", "--app", str(app)]
    command += ["--studies", str(options.studies.resolve()), "--host", HOST, "--port", str(options.port)]
    command += ["--uvicorn_app", "label_server:app", "--log_config", str(app / "logging.json")]
    settings = {
        "models": SERVINGS[bundle.name].model,
        "zoo_source": "ngc",
        "skip_trainers": "true",
        "sam2": "false",
    }
    for key, value in settings.items():
        command += ["--conf", key, value]
    return command


def build_environ(bundle: Path, options: argparse.Namespace, temporary: Path) -> dict[str, str]:
    """The server's environment variables: nothing of it outlives the server, and no network is used."""
    suffixes = SERVINGS[bundle.name].suffixes
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "TMPDIR": str(temporary),
        "MONAI_LABEL_SESSION_PATH": str(temporary / "sessions"),
        "MONAI_LABEL_DATASTORE_FILE_EXT": json.dumps([f"*{suffix}" for suffix in suffixes]),
        "LABEL_ORIGINS": json.dumps(options.origin),
        "MONAI_LABEL_TASKS_TRAIN": "false",
        "MONAI_LABEL_AUTO_UPDATE_SCORING": "false",
    }


if __name__ == "__main__":
    run_tool(main)
