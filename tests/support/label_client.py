"""Requests of 3D Slicer by `monailabel.client`, in MONAI Label's environment: one JSON line for each.

    python label_client.py URL TEMPORARY MODEL IMAGE [LABEL]

Slicer's plug-in asks for .nrrd of uint8 and sends the first entry of each list of options. With LABEL the
label map is submitted first, and the model asked with the prompt "own".
"""

from __future__ import annotations

import json
import sys

from monailabel.client import MONAILabelClient


def main(url: str, temporary: str, model: str, image: str, label: str = "") -> None:
    client = MONAILabelClient(url, tmpdir=temporary)
    options = client.info()["models"][model]["config"]
    params = {key: value[0] if isinstance(value, list) else value for key, value in options.items()}
    if label:
        client.save_label(image, label, params={"label_info": [{"name": "cortex", "idx": 1}]})
        params["prompt"] = "own"
    wanted = params | {"result_extension": ".nrrd", "result_dtype": "uint8"}
    file, answer = client.infer(model, image, wanted)
    print(json.dumps({"file": file, "answer": answer, "labels": client.info()["models"][model]["labels"]}))


if __name__ == "__main__":
    main(*sys.argv[1:])
