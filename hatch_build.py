"""The build of a wheel: the C module goes with it where it can be compiled; a wheel without is pure Python.

Comes in: the tree.  Goes out: what the wheel is to hold beside its Python files, and what it is for.
"""

from __future__ import annotations

import runpy
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class NativeHook(BuildHookInterface):
    """Compiles `kernelforge/native`."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Adds the module to a wheel, also to one that only points at the tree."""
        script = runpy.run_path(str(Path(self.root) / "kernelforge" / "native" / "build.py"))
        reason = script["build"]()
        if reason:
            script["MADE"].unlink(missing_ok=True)
            self.app.display_warning(f"the native module is left out: {reason}")
            return
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["pure_python"] = False
        build_data["tag"] = f"cp311-abi3-{platform}"
        build_data["artifacts"].append(str(script["MADE"].relative_to(self.root)))
