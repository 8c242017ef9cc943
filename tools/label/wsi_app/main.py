"""The app that serves the WSI bundle by MONAI Label; `serve.py` starts it."""

from pathlib import Path
from typing import Any

import monailabel
from monailabel.interfaces.app import MONAILabelApp
from monailabel.interfaces.tasks.infer_v2 import InferTask
from monailabel.interfaces.tasks.strategy import Strategy
from monailabel.tasks.activelearning.first import First
from wsi_app.slide_task import SlideTask


class SlideApp(MONAILabelApp):
    """One model: classes of a region of a slide, at the scale that the bundle finds for the slide."""

    def __init__(self, app_dir: str, studies: str, conf: dict[str, str]) -> None:
        self.bundle = Path(app_dir) / "model" / conf["models"]
        super().__init__(
            app_dir=app_dir,
            studies=studies,
            conf=conf,
            name=f"MONAILabel - WSI scale selector ({monailabel.__version__})",
            description="Classes of a slide at the scale that suits the classifier",
            version=monailabel.__version__,
        )

    def init_infers(self) -> dict[str, InferTask]:
        return {self.conf["models"]: SlideTask(self.bundle)}

    def init_strategies(self) -> dict[str, Strategy]:
        return {"first": First()}

    def infer_wsi(self, request: dict[str, Any], datastore: Any = None) -> dict[str, Any]:
        """A whole region at once: cut into tiles, polygons would end at their borders."""
        return self.infer(request, datastore)
