"""The steps of an image, in the one form that docker, podman and buildah read."""

from __future__ import annotations

import json
from collections.abc import Mapping

from .manifests import (
    APP,
    DOCS,
    ENVIRONMENT,
    EXPORT,
    INPUT,
    LOGS,
    MANIFESTS,
    MODELS,
    OUTPUT,
    USER_ID,
    WORKDIR,
)

DEBIAN = "docker.io/library/debian:bookworm-slim"
VENV = "/opt/venv"
SITE = f"{VENV}/lib/python3.11/site-packages"
ENTRY = "/usr/local/bin/map-entry"
VARIABLES = {
    "PATH": f"{VENV}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LD_LIBRARY_PATH": f"{SITE}/nvidia/cu13/lib",
    "PYTHONUNBUFFERED": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "HOME": "/tmp",
    "USER": "holoscan",
    "HF_HUB_OFFLINE": "1",
}
"""Set in the base: holoscan looks for the CUDA runtime, MONAI for a user's name; files are read-only."""

BASE = f"""\
# Shared by the images of all bundles; written by tools/map/build.py
ARG DEBIAN={DEBIAN}
FROM ${{DEBIAN}}
RUN apt-get update \\
 && DEBIAN_FRONTEND=noninteractive apt-get upgrade --yes \\
 && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends python3 \\
 && apt-get clean \\
 && rm -rf /var/lib/apt/lists/* /var/log/* /var/cache/debconf/*-old /var/lib/dpkg/*-old \\
 && useradd --uid {USER_ID} --home-dir /tmp --no-create-home --no-log-init --shell /usr/sbin/nologin holoscan
ENV @ENVIRONMENT@
RUN --mount=type=bind,source=.,target=/context \\
    /usr/bin/python3 -m venv --without-pip {VENV} \\
 && python /context/wheels/@PIP@/pip install --quiet --no-index --no-deps --no-cache-dir \\
    --root-user-action=ignore --find-links /context/wheels --requirement /context/packages.txt \\
 && python -c pass \\
 && @STANDINS@ \\
 && python -c 'import torch'
"""

MAP = f"""\
# One bundle as a MONAI Application Package; written by tools/map/build.py
ARG BASE
FROM ${{BASE}}
LABEL @LABELS@
ENV @ENVIRONMENT@
COPY opt/ /opt/holoscan/
COPY etc/ {MANIFESTS}/
COPY map_entry.sh {ENTRY}
COPY app.yaml {WORKDIR}/app.yaml
RUN --mount=type=bind,source=.,target=/context \\
    python /context/bom.py /context/weights.json > {DOCS}/bom.cdx.json \\
 && python -m compileall -q {APP} {MODELS} \\
 && mkdir -p {INPUT} {OUTPUT} {LOGS} {EXPORT} \\
 && chown {USER_ID}:{USER_ID} {OUTPUT} {LOGS}
WORKDIR {WORKDIR}/
USER {USER_ID}:{USER_ID}
ENTRYPOINT ["{ENTRY}"]
"""


def write_base(base: str, pip_wheel: str) -> str:
    """The Containerfile of the base "cpu" or "cuda"."""
    standins = f"python /context/standins.py {SITE}" if base == "cpu" else "python -m pip check"
    text = BASE.replace("@ENVIRONMENT@", quote_pairs(VARIABLES))
    return text.replace("@PIP@", pip_wheel).replace("@STANDINS@", standins)


def write_map(labels: Mapping[str, str]) -> str:
    """The Containerfile of one bundle's image."""
    return MAP.replace("@LABELS@", quote_pairs(labels)).replace("@ENVIRONMENT@", quote_pairs(ENVIRONMENT))


def quote_pairs(pairs: Mapping[str, str]) -> str:
    """{"a": "b c"} -> a="b c", one on each line."""
    return " \\\n    ".join(f"{key}={json.dumps(value.replace('$', ''))}" for key, value in pairs.items())
