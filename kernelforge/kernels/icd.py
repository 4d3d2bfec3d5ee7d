"""Finding OpenCL drivers right after `pip install`, without environment variables.

Comes in: the installed packages and the system's driver files.  Goes out: the pyopencl module, loaded when first asked
for.  Intel's CPU runtime, installed from the package index, leaves a driver file with a path that does not exist; the
library itself needs nothing but to be named to the loader.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib.util
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from kernelforge.kernels.cache import cache_directory
from kernelforge.settings import OPENCL, THREADS

SYSTEM_VENDORS: Final = (Path("/etc/OpenCL/vendors"), Path(sys.prefix) / "etc/OpenCL/vendors")
OWN: Final = "drivers-"  # how the names of directories made here begin
THREAD_LIMITS: Final = (  # Intel's two names, PoCL's old and new one
    "CL_CONFIG_CPU_TBB_NUM_WORKERS",
    "DPCPP_CPU_NUM_CUS",
    "POCL_MAX_PTHREAD_COUNT",
    "POCL_CPU_MAX_CU_COUNT",
)


@cache
def opencl() -> Any:
    """The pyopencl module, able to find every driver; None where it is not installed or cannot be loaded."""
    expose_drivers()
    try:
        import pyopencl
    except ImportError:
        return None
    return pyopencl


def expose_drivers() -> None:
    """Tells the OpenCL loader about every driver, and the drivers how many threads to use.

    The loader looks when the first platform is asked for: afterwards this has no effect.  A loader that the user has
    directed (OCL_ICD_VENDORS) is left alone.
    """
    os.environ.setdefault("PYOPENCL_NO_CACHE", "1")  # `cache` replaces it; on PoCL its binaries take up to a second
    if THREADS.value > 0:
        os.environ.update(dict.fromkeys(THREAD_LIMITS, str(THREADS.value)))
    library, given = intel_library(), Path(os.environ.get("OCL_ICD_VENDORS", "")).name
    if library is not None and (not given or given.startswith(OWN)):  # a parent process may have asked for others
        found = drivers()
        os.environ["OCL_ICD_VENDORS"] = str(_directory(needed(found) if _loads(library) else found))


@cache
def intel_library() -> Path | None:
    """Intel's CPU runtime from the package index, or None."""
    metadata = import_module("importlib.metadata")  # slow to import, and not needed before a device is opened
    try:
        files = metadata.files("intel-opencl-rt") or []
    except metadata.PackageNotFoundError:
        return None
    for file in files:
        if file.name == "libintelocl.so":
            path = Path(str(file.locate())).resolve()
            return path if path.exists() else None
    return None


def compilers() -> list[str]:
    """Libraries by which another process finds Intel's driver: its own, or else the loader's, which may find it."""
    library = intel_library()
    return [str(library)] if library is not None else [*_loaders(), "libOpenCL.so.1"]


def _loaders() -> list[str]:
    return [str(file) for place in _bundled() for file in sorted(place.glob("libOpenCL*.so*"))]


def drivers() -> dict[str, str]:
    """Driver library by the name of its file: Intel's, and those the loader would find by itself."""
    found: dict[str, str] = {}
    for directory in (*SYSTEM_VENDORS, *_bundled()):
        for file in sorted(directory.glob("*.icd")):
            try:
                library = file.read_text().strip()
            except OSError:
                continue
            if "libintelocl" not in library:
                beside = directory / library
                found[file.name] = str(beside) if beside.is_file() else library
    intel = intel_library()
    if intel is not None:
        found["intel_cpu_pip.icd"] = str(intel)
    return found


def needed(drivers: Mapping[str, str]) -> dict[str, str]:
    """The drivers worth loading beside Intel's: a second one for the CPU takes 0.1 s and 12 MiB, and only serves those
    who ask for it."""
    if OPENCL.value and not "intel".startswith(OPENCL.value.lower()):
        return dict(drivers)
    return {name: library for name, library in drivers.items() if "pocl" not in Path(library).name}


def _loads(library: Path) -> bool:
    """True when a library, which the loader is about to load, can be loaded."""
    try:
        ctypes.CDLL(str(library))
    except OSError:
        return False
    return True


def _bundled() -> list[Path]:
    """Where the loader in pyopencl's wheel looks for drivers of the package index, such as PoCL's."""
    spec = importlib.util.find_spec("pyopencl")
    return [Path(place) / ".libs" for place in (spec.submodule_search_locations or [])] if spec else []


def _directory(drivers: dict[str, str]) -> Path:
    """A directory with one file per driver, made once for each set of drivers."""
    text = "".join(f"{name}\0{library}\0" for name, library in sorted(drivers.items()))
    base = cache_directory()
    directory = base / f"{OWN}{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    if directory.is_dir():
        return directory
    made = Path(tempfile.mkdtemp(prefix=".drivers-", dir=base))
    for name, library in drivers.items():
        (made / name).write_text(f"{library}\n")
    try:
        made.rename(directory)
    except OSError:  # another process was first: its directory has the same content
        shutil.rmtree(made, ignore_errors=True)
        if not directory.is_dir():
            raise
    return directory
