"""The driver of host memory behind the real `cuda.bindings`: what these make of arguments is what the driver is given.

    python -m tests.bound_cuda tests/kernels/test_cuda.py tests/kernels/test_cuda_graph.py

A library of the driver's name hands out, for each call, a function of C that Python answers: it turns numbers, handles
and structures back into what `tests.fake_cuda` takes.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

from tests import fake_cuda

ROOT: Final = Path(__file__).parents[1]
LIBRARY: Final = """\
static int (*find)(const char *, void **);
void set_find(int (*given)(const char *, void **)) { find = given; }
int cuGetProcAddress_v2(const char *name, void **found, int version, unsigned long long flags, int *status) {
    int code = find ? find(name, found) : 500;
    if (status) *status = code ? 1 : 0;
    return code;
}
"""
CALLS: Final = {  # the types of parameters in the driver's order: see `_read` and `_write`, whose are the capitals
    "cuInit": "i", "cuDriverGetVersion": "I", "cuDeviceGetCount": "I", "cuDeviceGet": "D i", "cuDeviceTotalMem": "L d",
    "cuDeviceGetName": "l i d", "cuDeviceGetAttribute": "I CUdevice_attribute d",
    "cuDevicePrimaryCtxRetain": "H d", "cuCtxSetCurrent": "h", "cuCtxGetCurrent": "H", "cuGetErrorString": "i l",
    "cuStreamCreate": "H i", "cuStreamSynchronize": "h",
    "cuEventCreate": "H i", "cuEventRecord": "h h", "cuEventSynchronize": "h", "cuEventElapsedTime": "F h h",
    "cuDeviceGetDefaultMemPool": "H d", "cuMemPoolSetAttribute": "h CUmemPool_attribute number",
    "cuMemPoolTrimTo": "h l", "cuMemGetInfo": "L L", "cuMemAllocFromPoolAsync": "L l h h", "cuMemAlloc": "L l",
    "cuMemFreeAsync": "l h", "cuMemFree": "l", "cuMemHostAlloc": "L l i",
    "cuMemcpyHtoDAsync": "l l l h", "cuMemcpyDtoHAsync": "l l l h",
    "cuModuleLoadData": "H image", "cuModuleGetFunction": "H h text", "cuFuncGetAttribute": "I CUfunction_attribute h",
    "cuFuncSetAttribute": "h CUfunction_attribute i", "cuFuncSetCacheConfig": "h CUfunc_cache",
    "cuLaunchKernel": "h i i i i i i i h l l", "cuLaunchKernelEx": "config h l l",
    "cuGraphCreate": "H i", "cuGraphAddKernelNode": "L h l l node", "cuGraphInstantiate": "H h l",
    "cuGraphKernelNodeSetAttribute": "h CUlaunchAttributeID value", "cuGraphExecKernelNodeSetParams": "h h node",
    "cuGraphLaunch": "h h", "cuGraphExecDestroy": "h", "cuGraphDestroy": "h",
}  # fmt: skip
OTHER_NAMES: Final = {"cuGraphInstantiateWithFlags": "cuGraphInstantiate"}
NARROW: Final = ("i", "d")  # parameters of 32 bits, as enumerations are
RESULTS: Final = {"I": ctypes.c_int, "D": ctypes.c_int, "L": ctypes.c_uint64, "H": ctypes.c_uint64, "F": ctypes.c_float}
IMAGE: Final = 36  # bytes of the cubins of the driver of host memory
SIZES: Final = [(f"{kind}Dim{axis}", ctypes.c_uint) for kind in ("grid", "block") for axis in "XYZ"]


class Attribute(ctypes.Structure):
    """CUlaunchAttribute: which one, and its value as numbers."""

    _fields_ = (("id", ctypes.c_uint), ("pad", ctypes.c_uint), ("value", ctypes.c_uint * 16))


class Config(ctypes.Structure):
    """CUlaunchConfig."""

    _fields_ = (
        *SIZES, ("sharedMemBytes", ctypes.c_uint), ("hStream", ctypes.c_void_p),
        ("attrs", ctypes.POINTER(Attribute)), ("numAttrs", ctypes.c_uint),
    )  # fmt: skip


class Node(ctypes.Structure):
    """CUDA_KERNEL_NODE_PARAMS of CUDA 12 and later."""

    _fields_ = (
        ("func", ctypes.c_void_p), *SIZES, ("sharedMemBytes", ctypes.c_uint), ("kernelParams", ctypes.c_void_p),
        ("extra", ctypes.c_void_p), ("kern", ctypes.c_void_p), ("ctx", ctypes.c_void_p),
    )  # fmt: skip


class Bound:
    """Functions of C that ask a fake driver, which may change.

    objects  handles are the places of their objects in it
    """

    def __init__(self, bindings: Any) -> None:
        self.fake: Any = None
        self.bindings = bindings
        self.objects: list[Any] = [None]
        self.texts: list[Any] = []
        self.functions = {name: self._function(name, kinds.split()) for name, kinds in CALLS.items()}
        self.find = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_char_p, ctypes.POINTER(ctypes.c_void_p))(self._find)

    def _find(self, name: bytes, found: Any) -> int:
        text = name.decode()
        function = self.functions.get(OTHER_NAMES.get(text, text))
        found[0] = ctypes.cast(function, ctypes.c_void_p) if function else None
        return 0 if function else 500

    def _function(self, name: str, kinds: list[str]) -> Any:
        special = getattr(self, f"_{name}", None)

        def answer(*values: int) -> int:
            try:
                return int(special(*values) if special else self._answer(name, kinds, values))
            except BaseException:  # which C could not take
                traceback.print_exc()
                return 1

        wide = [ctypes.c_uint if kind in NARROW or kind.startswith("CU") else ctypes.c_uint64 for kind in kinds]
        return ctypes.CFUNCTYPE(ctypes.c_int, *wide)(answer)

    def _answer(self, name: str, kinds: Sequence[str], values: Sequence[int]) -> int:
        given = [self._read(kind, value) for kind, value in zip(kinds, values) if kind not in RESULTS]
        code, *results = getattr(self.fake, name)(*given)
        places = [(kind, value) for kind, value in zip(kinds, values) if kind in RESULTS]
        for (kind, place), result in zip(places, results):
            self._write(kind, place, result)
        return int(code)

    def _read(self, kind: str, value: int) -> Any:
        """A number, a handle's object, the name in an enumeration, or what is at an address."""
        if kind in ("i", "l"):
            return value
        if kind in ("h", "d"):
            return self.objects[value]
        if kind.startswith("CU"):
            return getattr(self.bindings, kind)(value).name
        if kind == "image":
            return ctypes.string_at(value, IMAGE)
        if kind == "text":
            return ctypes.string_at(value)
        if kind == "number":
            return ctypes.c_uint64.from_address(value).value
        if kind == "value":
            return _value(fake_cuda.NodeValue(), (ctypes.c_uint * 16).from_address(value))
        return self._structure(Config if kind == "config" else Node, value)

    def _structure(self, kind: Any, address: int) -> Any:
        """A structure with objects in the place of handles."""
        found = kind.from_address(address)
        fields = {name: getattr(found, name) for name, _ in kind._fields_}
        for name in ("hStream", "func"):
            if name in fields:
                fields[name] = self.objects[fields[name]]
        if "attrs" in fields:
            fields["attrs"] = [
                SimpleNamespace(
                    id=self.bindings.CUlaunchAttributeID(attribute.id).name,
                    value=_value(fake_cuda.Value(), attribute.value),
                )
                for attribute in found.attrs[: found.numAttrs]
            ]
        return SimpleNamespace(**fields)

    def _write(self, kind: str, place: int, result: Any) -> None:
        if kind in ("H", "D"):
            result = self._handle(result)
        RESULTS[kind].from_address(place).value = result

    def _handle(self, found: Any) -> int:
        for number, known in enumerate(self.objects):
            if known is found:
                return number
        self.objects.append(found)
        return len(self.objects) - 1

    # ------------------------------------------------------------------------------- calls with more than that

    def _cuDeviceGetName(self, place: int, length: int, device: int) -> int:
        code, name = self.fake.cuDeviceGetName(length, self.objects[device])
        ctypes.memmove(place, name, length)
        return int(code)

    def _cuGetErrorString(self, error: int, place: int) -> int:
        code, text = self.fake.cuGetErrorString(fake_cuda.Code(error))
        self.texts.append(ctypes.create_string_buffer(text))
        ctypes.c_uint64.from_address(place).value = ctypes.addressof(self.texts[-1])
        return int(code)

    def _cuGraphAddKernelNode(self, place: int, graph: int, before: int, count: int, params: int) -> int:
        waits = [self.objects[number] for number in (ctypes.c_uint64 * count).from_address(before)] if count else []
        code, node = self.fake.cuGraphAddKernelNode(self.objects[graph], waits, count, self._structure(Node, params))
        self._write("H", place, node)
        return int(code)


def _value(found: Any, numbers: Sequence[int]) -> Any:
    """An attribute's value as sizes, which is one of the ways to read it."""
    found.clusterDim.x, found.clusterDim.y, found.clusterDim.z = numbers[:3]
    return found


_bound: list[Bound] = []


def pytest_load_initial_conftests() -> None:
    """Loaded as a plugin, in a process that finds the library: fake drivers are called through the bindings."""
    from cuda.bindings import driver as bindings

    bound = Bound(bindings)
    ctypes.CDLL("libcuda.so.1").set_find(bound.find)
    _bound.append(bound)

    def through(fake: Any) -> Any:
        bound.fake = fake
        return bindings

    fake_cuda.module_of = through


def main(arguments: Sequence[str]) -> int:
    """pytest with such a library."""
    with tempfile.TemporaryDirectory() as folder:
        library = ["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", f"{folder}/libcuda.so.1"]
        subprocess.run(library, input=LIBRARY, text=True, check=True)
        paths = f"{folder}:{os.environ.get('LD_LIBRARY_PATH', '')}"
        command = [sys.executable, "-m", "pytest", "-p", "tests.bound_cuda", "-p", "no:cacheprovider", *arguments]
        return subprocess.run(command, cwd=ROOT, env=os.environ | {"LD_LIBRARY_PATH": paths}, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
