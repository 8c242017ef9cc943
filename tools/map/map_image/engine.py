"""docker, podman and buildah behind the same few verbs."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from _base import ToolError

from .containerfile import ENTRY
from .manifests import USER_ID

NAMES = ("docker", "podman", "buildah")


@dataclass(frozen=True)
class Engine:
    """How images are built, listed, read and exported.

    Attributes:
        name: one of `NAMES`.
        storage: folder of buildah's images and containers; docker and podman keep their own.
    """

    name: str
    storage: Path

    @property
    def program(self) -> list[str]:
        """The command and the options that every call has."""
        if self.name != "buildah":
            return [self.name]
        places = ["--root", str(self.storage / "images"), "--runroot", str(self.storage / "run")]
        return ["buildah", *places, "--storage-driver", "vfs"]

    def require(self) -> None:
        """Raises ToolError unless the program is there."""
        if shutil.which(self.name) is None:
            packages = "buildah skopeo umoci debootstrap" if self.name == "buildah" else self.name
            raise ToolError(f"expected {self.name}, got none: apt-get install {packages}")

    def call(self, *words: str) -> str:
        """Run one command. Returns its output. Raises ToolError with the last line when it fails."""
        return self.check(words[0], [*self.program, *words])

    def check(self, verb: str, command: Sequence[str]) -> str:
        """Run a whole command line. Returns its output. Raises ToolError with the last line when it fails."""
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if done.returncode:
            reason = ((done.stdout + done.stderr).strip().splitlines() or ["no message"])[-1]
            raise ToolError(f"{self.name} {verb} failed: {reason}")
        return done.stdout

    def has(self, image: str) -> bool:
        """Whether the image is in the store."""
        return bool(self.call("images", "--quiet", "--filter", f"reference={image}").strip())

    def build(self, image: str, context: Path, arguments: Mapping[str, str]) -> None:
        """Build `context`/Containerfile into `image`; an earlier one of buildah goes. Raises ToolError."""
        words = ["build", "--tag", image, "--file", str(context / "Containerfile")]
        words += [word for pair in arguments.items() for word in ("--build-arg", "=".join(pair))]
        if self.name != "buildah":
            self.call(*words, str(context))
            return
        before = self.number(image)
        words += ["--isolation", "chroot", "--format", "oci", "--pull-never", "--layers=false"]
        self.call(*words, str(context))
        if before and before != self.number(image):
            self.call("rmi", "--force", before)

    def number(self, image: str) -> str:
        """Buildah's whole number of an image, "" when there is none."""
        found = self.call("images", "--quiet", "--no-trunc", "--filter", f"reference={image}").split()
        return found[0].removeprefix("sha256:") if found else ""

    def size_bytes(self, image: str) -> int:
        """Size of the unpacked image in bytes."""
        if self.name != "buildah":
            return int(self.call("image", "inspect", "--format", "{{.Size}}", image))
        return sum(layer["diff-size"] for layer in self._layers(image))

    def _layers(self, image: str) -> list[dict[str, int]]:
        """Rows of the store about the image's layers, from the top one down."""
        rows = json.loads((self.storage / "images/vfs-layers/layers.json").read_text(encoding="utf-8"))
        images = json.loads((self.storage / "images/vfs-images/images.json").read_text(encoding="utf-8"))
        number, by_id = self.number(image), {row["id"]: row for row in rows}
        layer = next(row["layer"] for row in images if row["id"] == number)
        found = []
        while layer:
            found.append(by_id[layer])
            layer = by_id[layer].get("parent")
        return found

    def read(self, image: str, words: Sequence[str]) -> str:
        """What the image prints when it is started with `words`, without a network. Raises ToolError."""
        if self.name != "buildah":
            return self.call("run", "--rm", "--network", "none", image, *words)
        return self.check("run", self.command_in(self.provide_container(image), [], [ENTRY, *words]))

    def command_in(self, container: str, volumes: Sequence[str], words: Sequence[str]) -> list[str]:
        """The words that start a process of buildah's container: as the image's user, without a network.

        The network namespace comes from unshare, for buildah gives none in a chroot.
        """
        command = ["unshare", "--net", *self.program, "run", "--isolation", "chroot"]
        command += ["--user", f"{USER_ID}:{USER_ID}", *(f"--volume={volume}" for volume in volumes)]
        return [*command, container, "--", *words]

    def provide_container(self, image: str) -> str:
        """Name of buildah's container of the image as it is now. Raises ToolError: there is no such image.

        Making one copies the whole image, with the driver vfs: it is kept until the image changes.
        """
        number = self.number(image)
        if not number:
            raise ToolError(f"expected the image {image}, got none: build it with tools/map/build.py")
        prefix = "map-" + image.partition("/")[2].partition(":")[0] + "-"
        name = prefix + number[:12]
        known = self.call("containers", "--format", "{{.ContainerName}}").split()
        for old in known:
            if old.startswith(prefix) and old != name:
                self.call("rm", old)
        if name not in known:
            self.call("from", "--pull-never", "--name", name, image)
        return name

    def export(self, image: str, target: Path) -> None:
        """Write the image as an archive: OCI from buildah, the engine's own from docker and podman."""
        target.unlink(missing_ok=True)
        if self.name == "buildah":
            self.call("push", "--quiet", image, f"oci-archive:{target}:{image}")
        else:
            self.call("save", "--output", str(target), image)
