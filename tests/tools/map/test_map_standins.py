"""A stand-in is loaded by the system's dynamic loader like the library it stands for."""

from __future__ import annotations

import ctypes
from pathlib import Path

import pytest
from map_image.standins import build_library, hash_name, main, write_standins

VERSIONED_LOOKUP = ctypes.CDLL(None).dlvsym
VERSIONED_LOOKUP.restype = ctypes.c_void_p
VERSIONED_LOOKUP.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p]


def has_version(library: ctypes.CDLL, function: str, version: str) -> bool:
    """Whether the loader finds that version of a function in the library."""
    return bool(VERSIONED_LOOKUP(library._handle, function.encode(), version.encode()))


def write_torch(folder: Path) -> Path:
    """Files with the words that a library of torch has in its tables."""
    libraries = folder / "torch" / "lib"
    libraries.mkdir(parents=True)
    words = [
        "libcublas.so.13",
        "libcudart.so.13",
        "libnvshmem_host.so.3",
        "cublasCreate_v2",
        "nvshmem_free",
        "main",
    ]
    (libraries / "libtorch_toy.so").write_bytes(b"\x7fELF\0" + "\0".join(words).encode() + b"\0")
    (folder / "nvidia/cu13/lib").mkdir(parents=True)
    return libraries


@pytest.mark.parametrize("count", [0, 1, 2, 700])
def test_every_function_is_found_and_returns_a_failure(tmp_path: Path, count: int) -> None:
    names = [f"toyFunction{index}" for index in range(count)]
    (tmp_path / "libtoy.so.1").write_bytes(build_library("libtoy.so.1", "libtoy.so.1", names))
    library = ctypes.CDLL(str(tmp_path / "libtoy.so.1"))
    assert [getattr(library, name)() for name in names] == [1] * count
    assert not hasattr(library, "toyFunction") and not hasattr(library, f"toyFunction{count}")


def test_functions_have_the_version_of_their_library_only(tmp_path: Path) -> None:
    (tmp_path / "libtoy.so.1").write_bytes(build_library("libtoy.so.1", "TOY", ["alpha", "beta"]))
    library = ctypes.CDLL(str(tmp_path / "libtoy.so.1"))
    assert has_version(library, "alpha", "TOY") and has_version(library, "beta", "TOY")
    assert not has_version(library, "alpha", "libtoy.so.1")


def test_hash_is_the_one_of_the_elf_specification() -> None:
    # every binary for x86-64 Linux asks for GLIBC_2.2.5 by this number: readelf -V prints it
    assert hash_name("GLIBC_2.2.5") == 0x09691A75
    assert hash_name("") == 0


def test_only_missing_libraries_of_nvidia_get_a_stand_in(tmp_path: Path) -> None:
    target = tmp_path / "nvidia/cu13/lib"
    assert write_standins(write_torch(tmp_path), target) == ["libcublas.so.13", "libnvshmem_host.so.3"]
    blas, shared = (ctypes.CDLL(str(target / name)) for name in ("libcublas.so.13", "libnvshmem_host.so.3"))
    assert has_version(blas, "cublasCreate_v2", "libcublas.so.13")
    assert has_version(shared, "nvshmem_free", "NVSHMEM")
    assert not hasattr(blas, "main")
    assert (target / "STANDINS.txt").read_text().splitlines()[1:] == [
        "libcublas.so.13",
        "libnvshmem_host.so.3",
    ]
    assert not (target / "libcudart.so.13").exists()


def test_a_real_library_stays(tmp_path: Path) -> None:
    libraries = write_torch(tmp_path)
    (tmp_path / "nvidia/cu13/lib/libcublas.so.13").write_bytes(b"real")
    assert write_standins(libraries, tmp_path / "nvidia/cu13/lib") == ["libnvshmem_host.so.3"]
    assert (tmp_path / "nvidia/cu13/lib/libcublas.so.13").read_bytes() == b"real"


def test_a_torch_without_cuda_needs_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "torch/lib").mkdir(parents=True)
    (tmp_path / "torch/lib/libtorch_cpu.so").write_bytes(b"\0libc.so.6\0main\0")
    (tmp_path / "nvidia/cu13/lib").mkdir(parents=True)
    assert main([str(tmp_path)]) == 0
    assert capsys.readouterr().out == "0 stand-ins: torch needs none\n"
    assert list((tmp_path / "nvidia/cu13/lib").iterdir()) == []
