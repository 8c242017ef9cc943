"""The manifests of a MONAI Application Package as JSON schemas, from the tables of its specification."""

from __future__ import annotations

SEMVER = {"type": "string", "pattern": r"^\d+\.\d+\.\d+$"}
FOLDER = {"type": "string", "pattern": "^/"}
MEMORY = {"type": "string", "pattern": r"^\d+(\.\d)?(Mi|Gi)$"}
APP_SCHEMA = {
    "type": "object",
    "required": ["type", "command", "input", "output", "environment"],
    "additionalProperties": False,
    "properties": {
        "apiVersion": SEMVER,
        "type": {"enum": ["application", "service"]},
        "command": {"type": "string", "minLength": 1},
        "environment": {"type": "object", "additionalProperties": {"type": "string"}},
        "input": {
            "type": "object",
            "required": ["formats"],
            "properties": {
                "path": FOLDER,
                "formats": {"type": "array", "items": {"type": "object"}, "minItems": 1},
            },
        },
        "output": {
            "type": "object",
            "required": ["format"],
            "properties": {"path": FOLDER, "format": {"type": "object"}},
        },
        "sdk": {"type": "string"},
        "sdkVersion": SEMVER,
        "timeout": {"type": "integer", "minimum": 0},
        "version": SEMVER,
        "workingDirectory": FOLDER,
    },
}
PKG_SCHEMA = {
    "type": "object",
    "required": ["applicationRoot"],
    "additionalProperties": False,
    "properties": {
        "apiVersion": SEMVER,
        "applicationRoot": FOLDER,
        "modelRoot": FOLDER,
        "models": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name"],
                "properties": {
                    "name": {"type": "string", "pattern": r"^\S{1,128}$"},
                    "path": {"type": "string"},
                },
            },
        },
        "resources": {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "cpu": {"type": "number", "exclusiveMinimum": 0},
                "gpu": {"type": "integer", "minimum": 0},
                "memory": MEMORY,
                "memoryLimit": MEMORY,
                "sharedMemory": MEMORY,
            },
        },
        "version": SEMVER,
    },
}
