"""Start MONAI Label inside its environment; `serve.py` calls this."""

import logging
import sys

import pydicom.uid

# pydicom-seg 0.4.1 takes the SOP classes from where pydicom 2 kept them; pydicom 3, which the bundles need,
# has them all in pydicom.uid
sys.modules["pydicom._storage_sopclass_uids"] = pydicom.uid

from monailabel.main import Main  # noqa: E402

if __name__ == "__main__":
    Main(logging.WARNING, actions="start_server").run()
