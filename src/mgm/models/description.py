"""The file in every export of mgm that describes the model and its origin."""

from typing import Final

DESCRIPTION_FILE: Final = "mgm.json"
