"""Run the applications under the MONAI Deploy App SDK, in an environment of their own.

    python3 tools/map/sdk.py --bundle BUNDLE --input DIR --output DIR [--set KEY=VALUE ...]

Makes `.cache/map/sdk` first when it is not there: `.venv`'s packages, and on top of them those of
sdk_requirements.txt. The arguments are those of `tools/map/app`.
"""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path
from typing import NoReturn

TOOLS = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TOOLS))
import _base  # noqa: E402
import _install  # noqa: E402
import _venv  # noqa: E402
from _base import CACHE, ROOT, ToolError, lock, say  # noqa: E402

ENVIRONMENT = CACHE / "map" / "sdk"
REQUIREMENTS = Path(__file__).with_name("sdk_requirements.txt")
STACK_KB = 32768
"""holoscan warns below it."""


def main(arguments: list[str]) -> int:
    """Make the environment where it is not complete, then become the application."""
    _venv.enter_venv()
    try:
        python = provide_environment()
    except ToolError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.status
    start(python, arguments)


def provide_environment() -> Path:
    """Path of the environment's Python; makes the environment unless it is complete. Raises ToolError."""
    stamp = ENVIRONMENT / "complete"
    wanted = REQUIREMENTS.read_text(encoding="utf-8") + _venv.expected_stamp()["inputs_sha256"]
    python = ENVIRONMENT / "bin" / "python"
    with lock(CACHE / "map" / "sdk.lock", "another start is installing: waiting for it") as handle:
        if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
            return python
        _install.create_environment(ENVIRONMENT)
        _install.provide_pip(python)
        share_packages(python)
        _install.install_requirements(python, REQUIREMENTS, CACHE / "map" / "sdk.log", handle)
        join_monai(python)
        check = [
            "env",
            f"LD_LIBRARY_PATH={build_library_path()}",
            str(python),
            "-c",
            "import monai.deploy.core",
        ]
        _install.run_quietly(check, "first start of the SDK")
        stamp.write_text(wanted, encoding="utf-8")
        say(f"{ENVIRONMENT.relative_to(ROOT)} is complete")
    return python


def share_packages(python: Path) -> None:
    """Let the environment see `.venv`'s packages and `common` behind its own."""
    own, shared = find_packages(python.parents[1]), find_packages(_venv.VENV)
    (own / "shared_packages.pth").write_text(f"{shared}\n{ROOT}\n", encoding="utf-8")


def join_monai(python: Path) -> None:
    """The SDK is `monai.deploy`, and a package cannot stand in two places: link the rest of MONAI to it."""
    own, shared = find_packages(python.parents[1]) / "monai", find_packages(_venv.VENV) / "monai"
    for path in shared.iterdir():
        if path.name != "__pycache__" and not (own / path.name).exists():
            (own / path.name).symlink_to(path)


def find_packages(environment: Path) -> Path:
    """Its site-packages."""
    (found,) = environment.glob("lib/python*/site-packages")
    return found


def build_library_path() -> str:
    """LD_LIBRARY_PATH of a process that imports holoscan: with the CUDA runtime, also where there is no GPU.

    Raises:
        ToolError: no CUDA runtime in the two environments.
    """
    for environment in (ENVIRONMENT, _venv.VENV):
        folder = find_packages(environment) / "nvidia" / "cu13" / "lib"
        if any(folder.glob("libcudart.so.13*")):
            return ":".join([str(folder), *filter(None, [os.environ.get("LD_LIBRARY_PATH")])])
    raise ToolError(f"expected libcudart.so.13 in {ENVIRONMENT.name}, got none: delete it and start again")


def start(python: Path, arguments: list[str]) -> NoReturn:
    """Replace this process by the application."""
    soft, hard = resource.getrlimit(resource.RLIMIT_STACK)
    if soft != resource.RLIM_INFINITY and (hard == resource.RLIM_INFINITY or hard >= STACK_KB * 1024):
        resource.setrlimit(resource.RLIMIT_STACK, (max(soft, STACK_KB * 1024), hard))
    command = [str(python), str(Path(__file__).with_name("app")), *arguments]
    os.execve(command[0], command, {**os.environ, "LD_LIBRARY_PATH": build_library_path()})


if __name__ == "__main__":
    _base.run_tool(main)
