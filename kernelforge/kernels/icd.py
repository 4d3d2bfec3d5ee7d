"""Finding OpenCL drivers right after `pip install`, without environment variables.

Comes in: the installed packages and the system's driver files.  Goes out: `cl`, the pyopencl module or None, imported
after OCL_ICD_VENDORS is set.  Intel's CPU runtime, installed from the package index, leaves a driver file with a path that does not exist
here; the library itself needs nothing but to be named to the loader.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import sys
from pathlib import Path
from typing import Any

from kernelforge.kernels.cache import cache_directory
from kernelforge.settings import THREADS

SYSTEM_VENDORS = (Path("/etc/OpenCL/vendors"), Path(sys.prefix) / "etc/OpenCL/vendors")


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


def vendors() -> dict[str, str]:
    """Driver library by the name of its file, the broken entries of Intel's package left out."""
    found: dict[str, str] = {}
    for directory in SYSTEM_VENDORS:
        for file in sorted(directory.glob("*.icd")):
            try:
                library = file.read_text().strip()
            except OSError:
                continue
            if "libintelocl" not in library:
                found[file.name] = library
    library_path = intel_library()
    if library_path is not None:
        found["intel_cpu_pip.icd"] = str(library_path)
    return found


def expose_drivers() -> None:
    """Tell the OpenCL loader about every driver; does nothing when the user has, or when pyopencl is loaded already."""
    os.environ.setdefault("PYOPENCL_NO_CACHE", "1")  # the own cache replaces it; on PoCL its binaries cost up to a second
    if THREADS.value > 0:
        for name in ("CL_CONFIG_CPU_TBB_NUM_WORKERS", "DPCPP_CPU_NUM_CUS", "POCL_MAX_PTHREAD_COUNT"):
            os.environ.setdefault(name, str(THREADS.value))
    if "pyopencl" in sys.modules or os.environ.get("OCL_ICD_VENDORS") or intel_library() is None:
        return
    os.environ["OCL_ICD_VENDORS"] = str(_directory(vendors()))


def _directory(drivers: dict[str, str]) -> Path:
    """A directory with one file per driver, made once for each set of drivers."""
    text = "".join(f"{name}\0{library}\0" for name, library in sorted(drivers.items()))
    base = cache_directory()
    directory = base / ("drivers-" + hashlib.sha256(text.encode()).hexdigest()[:16])
    if not directory.is_dir():
        made = base / f".drivers-{os.getpid()}"
        made.mkdir(parents=True, exist_ok=True)
        for name, library in drivers.items():
            (made / name).write_text(library + "\n")
        try:
            made.rename(directory)
        except OSError:  # another process was first: its directory has the same content
            if not directory.is_dir():
                raise
    return directory


def _import_pyopencl() -> Any:
    """pyopencl, or None where its library cannot be loaded on this system."""
    expose_drivers()
    try:
        import pyopencl
    except ImportError:
        return None
    return pyopencl


cl = _import_pyopencl()
