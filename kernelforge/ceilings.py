"""What a device can do at most, by kernels that do nothing else.

Comes in: a device.  Goes out: operations per second of a loop of fused multiply-adds in registers, and bytes per second
of copying, reading and filling arrays that no cache holds, on all threads.  What was found is kept on disk for the
device, its driver and the number of threads.
"""

from __future__ import annotations

import json
from time import perf_counter
from typing import Final

from codegen.dtypes import dtypes
from codegen.ir import Param
from codegen.program import Program
from kernelforge.kernels import Device, Memory, Runtime, cache

SIZE: Final = 1 << 25  # float32 elements: 128 MiB
BLOCK: Final = 1 << 16  # of them for each work-group
CHAINS: Final = 16  # independent accumulators: more than units times cycles of latency
LOOPS: Final = 10_000
GROUPS: Final = 64
ROUNDS: Final = 30  # many short ones: some of them go undisturbed on a busy machine

STREAM: Final = """__attribute__((reqd_work_group_size(1, 1, 1)))
__kernel void stream(__global const float *restrict x, __global float *restrict out) {{
  const size_t start = get_group_id(0) * (size_t){block};
  {before}
  for (size_t i = start; i < start + {block}; i += 64) {{ {body} }}
  {after}
}}
"""
PLACES: Final = (0, 16, 32, 48)
COPY: Final = STREAM.format(
    block=BLOCK,
    before="",
    after="",
    body=" ".join(f"vstore16(vload16(0, x + i + {p}), 0, out + i + {p});" for p in PLACES),
)
PAST_CACHES: Final = STREAM.format(
    block=BLOCK,
    before="",
    after="",
    body=" ".join(
        f"__builtin_nontemporal_store(*(__global const float16 *)(x + i + {p}), (__global float16 *)(out + i + {p}));"
        for p in PLACES
    ),
)
FILL: Final = STREAM.format(
    block=BLOCK,
    before="",
    after="",
    body=" ".join(
        f"__builtin_nontemporal_store((float16)(1.0f), (__global float16 *)(out + i + {p}));" for p in PLACES
    ),
)
READ: Final = STREAM.format(
    block=BLOCK,
    before=" ".join(f"float16 s{p} = 0.0f;" for p in PLACES),
    body=" ".join(f"s{p} += vload16(0, x + i + {p});" for p in PLACES),
    after=f"vstore16({' + '.join(f's{p}' for p in PLACES)}, 0, out + start);",
)
MULTIPLY_ADD: Final = f"""__attribute__((reqd_work_group_size(1, 1, 1)))
__kernel void stream(__global const float *restrict x, __global float *restrict out) {{
  const float16 m = vload16(0, x), c = vload16(0, x + 16);
  {" ".join(f"float16 a{n} = m + {n}.0f;" for n in range(CHAINS))}
  for (int i = 0; i < {LOOPS}; i++) {{ {" ".join(f"a{n} = fma(a{n}, m, c);" for n in range(CHAINS))} }}
  vstore16({" + ".join(f"a{n}" for n in range(CHAINS))}, 0, out + get_group_id(0) * 16);
}}
"""
PARAMS: Final = tuple(Param(name, dtypes.float32, SIZE) for name in ("x", "out"))


def ceilings(device: str) -> dict[str, float]:
    """measured(), once per machine: later processes read what the first one found."""
    runtime: Runtime = Device[device]
    if runtime.target.language != "opencl" or runtime.facts.kind != "cpu":
        return {}
    facts = runtime.facts
    key = cache.key_of("ceilings", MULTIPLY_ADD, COPY, facts.device, facts.driver, str(facts.compute_units))
    known = cache.load(key)
    if known is None:
        known = json.dumps(measured(device)).encode()
        cache.save(key, known)
    return dict(json.loads(known))


def measured(device: str, rounds: int = ROUNDS) -> dict[str, float]:
    """Units per second: "flops" float32 operations, "copy" bytes read plus written, "read" and "fill" bytes."""
    runtime: Runtime = Device[device]
    memories = [runtime.allocate(4 * SIZE) for _ in PARAMS]
    for memory in memories:
        _rate(runtime, FILL, SIZE // BLOCK, [memories[0], memory], 3)
    copies = (_rate(runtime, source, SIZE // BLOCK, memories, rounds) for source in (COPY, PAST_CACHES))
    return {
        "flops": GROUPS * LOOPS * CHAINS * 32 * _rate(runtime, MULTIPLY_ADD, GROUPS, memories, rounds),
        "copy": 8 * SIZE * max(copies),
        "read": 4 * SIZE * _rate(runtime, READ, SIZE // BLOCK, memories, rounds),
        "fill": 4 * SIZE * _rate(runtime, FILL, SIZE // BLOCK, memories, rounds),
    }


def _rate(runtime: Runtime, source: str, groups: int, memories: list[Memory], rounds: int) -> float:
    """Launches per second of a kernel, at best."""
    program = Program("opencl", source, "stream", (groups,), PARAMS, frozenset(("out",)))
    (executable,) = runtime.compile([program])
    least = float("inf")
    for _ in range(rounds):
        start = perf_counter()
        runtime.launch(executable, memories)
        runtime.wait()
        least = min(least, perf_counter() - start)
    return 1 / least
