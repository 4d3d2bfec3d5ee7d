"""Finding OpenCL drivers right after `pip install`, without environment variables.

Comes in: the installed packages and the system's driver files.  Goes out: the pyopencl module, loaded when first asked
for.  Intel's CPU runtime, installed from the package index, leaves a driver file with a path that does not exist; the
library itself needs nothing but to be named to the loader.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
import shutil
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any, Final

from kernelforge.kernels.cache import cache_directory
from kernelforge.settings import THREADS

SYSTEM_VENDORS: Final = (Path("/etc/OpenCL/vendors"), Path(sys.prefix) / "etc/OpenCL/vendors")
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
    if not os.environ.get("OCL_ICD_VENDORS") and intel_library() is not None:
        os.environ["OCL_ICD_VENDORS"] = str(_directory(drivers()))


def intel_library() -> Path | None:
    """Intel's CPU runtime from the package index, or None."""
    try:
        files = importlib.metadata.files("intel-opencl-rt") or []
    except importlib.metadata.PackageNotFoundError:
        return None
    for file in files:
        if file.name == "libintelocl.so":
            path = Path(str(file.locate())).resolve()
            return path if path.exists() else None
    return None


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


def _bundled() -> list[Path]:
    """Where the loader in pyopencl's wheel looks for drivers of the package index, such as PoCL's."""
    spec = importlib.util.find_spec("pyopencl")
    return [Path(place) / ".libs" for place in (spec.submodule_search_locations or [])] if spec else []


def _directory(drivers: dict[str, str]) -> Path:
    """A directory with one file per driver, made once for each set of drivers."""
    text = "".join(f"{name}\0{library}\0" for name, library in sorted(drivers.items()))
    base = cache_directory()
    directory = base / f"drivers-{hashlib.sha256(text.encode()).hexdigest()[:16]}"
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
