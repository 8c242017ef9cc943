"""Small libraries in the place of NVIDIA's, so that PyPI's torch starts on a base without CUDA.

    python standins.py SITE_PACKAGES

PyPI's torch for Linux is the CUDA build: its libraries name a dozen more from NVIDIA (1.9 GB), which the
dynamic loader wants although nothing calls them on a machine without a GPU. A stand-in has the name of such a
library, the version that torch asks for, and every function name that torch mentions; each function returns
1, which all these interfaces define as a failure. The CUDA runtime itself stays the real one (0.7 MB): it
says that there is no GPU. PyTorch's own CPU build has no use for any of this, and then nothing is written.

A stand-in is a shared object of the ELF 64-bit format for x86-64 with two loadable segments: names, hash
table, versions and code; and the dynamic section, which the loader changes.
"""

import re
import struct
import sys
from pathlib import Path

PAGE = 0x1000
HEADER, SEGMENT, SYMBOL = 64, 56, 24
RETURN_1 = b"\xb8\x01\x00\x00\x00\xc3"
KINDS = rb"cublasLt|cublas|cudnn|cufft|cuFile|cufile|cupti|curand|cusparseLt|cusparse|nccl|nvrtc|nvshmem"
FUNCTION = re.compile(rb"\0((?:" + KINDS + rb")\w+)(?=\0)")
LIBRARY = re.compile(rb"\0(lib(?:" + KINDS + rb")(?:_host)?\.so\.\d+)(?=\0)")
NOTE = "Not NVIDIA's libraries but stand-ins that do nothing, for torch on a machine without a GPU:"
VERSIONS = {"libnvshmem_host": "NVSHMEM"}
"""Version that the functions of a library have, where it is not the library's file name."""


def main(arguments: list[str]) -> int:
    """Write the stand-ins that the torch of a site-packages folder needs. Returns the exit status."""
    (packages,) = map(Path, arguments)
    written = write_standins(packages / "torch" / "lib", packages / "nvidia" / "cu13" / "lib")
    print(f"{len(written)} stand-ins: {' '.join(written) or 'torch needs none'}")
    return 0


def write_standins(torch_libraries: Path, target: Path) -> list[str]:
    """Write a stand-in for every NVIDIA library that torch names and `target` lacks. Returns their names."""
    functions: set[str] = set()
    libraries: set[str] = set()
    for file in sorted(torch_libraries.glob("*.so*")):
        content = file.read_bytes()
        functions |= {name.decode() for name in FUNCTION.findall(content)}
        libraries |= {name.decode() for name in LIBRARY.findall(content)}
    missing = sorted(name for name in libraries if not (target / name).exists())
    for name in missing:
        version = VERSIONS.get(name.split(".")[0], name)
        (target / name).write_bytes(build_library(name, version, sorted(functions)))
    if missing:
        (target / "STANDINS.txt").write_text("\n".join([NOTE, *missing]) + "\n", encoding="utf-8")
    return missing


def build_library(name: str, version: str, functions: list[str]) -> bytes:
    """A shared object `name` whose `functions`, all of `version`, return 1."""
    strings = bytearray(b"\0")
    name_at, version_at, *function_at = [_append(strings, text) for text in (name, version, *functions)]
    count = len(functions) + 1
    parts = {"head": HEADER + 3 * SEGMENT, "symbols": SYMBOL * count, "strings": len(strings)}
    parts |= {"hash": 4 * (3 + count), "symbol_versions": 2 * count, "versions": 56, "code": len(RETURN_1)}
    at, end = _place(parts)
    dynamic_at = -(-end // PAGE) * PAGE
    code_symbols = [
        struct.pack("<IBBHQQ", text, 0x12, 0, 1, at["code"], len(RETURN_1)) for text in function_at
    ]
    contents = {
        "symbols": bytes(SYMBOL) + b"".join(code_symbols),
        "strings": bytes(strings),
        "hash": struct.pack(f"<{3 + count}I", 1, count, 1 % count, 0, *range(2, count), *([0] * (count > 1))),
        "symbol_versions": struct.pack(f"<{count}H", 0, *[2] * (count - 1)),
        "versions": _version(1, 1, name, name_at, 28) + _version(0, 2, version, version_at, 0),
        "code": RETURN_1,
    }
    dynamic = _dynamic(at, name_at, len(strings))
    contents["head"] = _head(end, dynamic_at, len(dynamic))
    image = bytearray(dynamic_at) + dynamic
    for part, content in contents.items():
        image[at[part] : at[part] + len(content)] = content
    return bytes(image)


def _append(strings: bytearray, text: str) -> int:
    strings.extend(text.encode() + b"\0")
    return len(strings) - len(text) - 1


def _place(sizes: dict[str, int]) -> tuple[dict[str, int], int]:
    """Offset of every part, each on a multiple of 16, and the end of the last."""
    at, end = {}, 0
    for part, size in sizes.items():
        at[part] = -(-end // 16) * 16
        end = at[part] + size
    return at, end


def _head(end: int, dynamic_at: int, dynamic_size: int) -> bytes:
    """ELF header of a shared object (type 3) for x86-64 (62) and its three program headers."""
    header = b"\x7fELF\x02\x01\x01" + bytes(9)
    header += struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, 0, HEADER, 0, 0, HEADER, SEGMENT, 3, 0, 0, 0)
    read_run = struct.pack("<IIQQQQQQ", 1, 5, 0, 0, 0, end, end, PAGE)
    where = (dynamic_at,) * 3 + (dynamic_size,) * 2
    return (
        header
        + read_run
        + struct.pack("<IIQQQQQQ", 1, 6, *where, PAGE)
        + struct.pack("<IIQQQQQQ", 2, 6, *where, 8)
    )


def _dynamic(at: dict[str, int], name_at: int, strings_size: int) -> bytes:
    """SONAME, HASH, STRTAB, SYMTAB, STRSZ, SYMENT, VERSYM, VERDEF, VERDEFNUM and the end."""
    rows = [
        (14, name_at),
        (4, at["hash"]),
        (5, at["strings"]),
        (6, at["symbols"]),
        (10, strings_size),
        (11, SYMBOL),
    ]
    rows += [(0x6FFFFFF0, at["symbol_versions"]), (0x6FFFFFFC, at["versions"]), (0x6FFFFFFD, 2), (0, 0)]
    return b"".join(struct.pack("<QQ", *row) for row in rows)


def _version(flags: int, index: int, text: str, text_at: int, to_next: int) -> bytes:
    """One version definition with its name."""
    return struct.pack("<HHHHIIIII", 1, flags, index, 1, hash_name(text), 20, to_next, text_at, 0)


def hash_name(text: str) -> int:
    """The hash function of the ELF specification (System V ABI, figure 5-13)."""
    value = 0
    for byte in text.encode():
        value = (value << 4) + byte
        high = value & 0xF0000000
        value = (value ^ (high >> 24)) & ~high & 0xFFFFFFFF
    return value


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
