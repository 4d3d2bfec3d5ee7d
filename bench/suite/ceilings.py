"""What the machine can do at most, by kernels that do nothing else.

Comes in: nothing. Goes out: operations per second of a loop of fused multiply-adds in registers, and bytes per second
of copying, reading and filling arrays that no cache holds. The kernels are written here and run by kernelforge's
runtime, on all its threads.
"""

from bench.measure import best
from codegen.dtypes import dtypes
from codegen.ir import Param
from codegen.program import Program
from kernelforge import Device
from kernelforge.kernels import Memory, Runtime

SIZE = 1 << 25  # float32 elements: 128 MiB
BLOCK = 1 << 16  # of them for each work-group
CHAINS = 16  # independent accumulators: more than units times cycles of latency
LOOPS = 10_000
GROUPS = 64
ROUNDS = 100  # many short ones: some of them go undisturbed on a busy machine

STREAM = """__attribute__((reqd_work_group_size(1, 1, 1)))
__kernel void stream(__global const float *restrict x, __global float *restrict out) {{
  const size_t start = get_group_id(0) * (size_t){block};
  {before}
  for (size_t i = start; i < start + {block}; i += 64) {{ {body} }}
  {after}
}}
"""
PLACES = (0, 16, 32, 48)
COPY = STREAM.format(
    block=BLOCK,
    before="",
    after="",
    body=" ".join(f"vstore16(vload16(0, x + i + {p}), 0, out + i + {p});" for p in PLACES),
)
PAST_CACHES = STREAM.format(
    block=BLOCK,
    before="",
    after="",
    body=" ".join(
        f"__builtin_nontemporal_store(*(__global const float16 *)(x + i + {p}), (__global float16 *)(out + i + {p}));"
        for p in PLACES
    ),
)
FILL = STREAM.format(
    block=BLOCK,
    before="",
    after="",
    body=" ".join(
        f"__builtin_nontemporal_store((float16)(1.0f), (__global float16 *)(out + i + {p}));" for p in PLACES
    ),
)
READ = STREAM.format(
    block=BLOCK,
    before=" ".join(f"float16 s{p} = 0.0f;" for p in PLACES),
    body=" ".join(f"s{p} += vload16(0, x + i + {p});" for p in PLACES),
    after=f"vstore16({' + '.join(f's{p}' for p in PLACES)}, 0, out + start);",
)
MULTIPLY_ADD = f"""__attribute__((reqd_work_group_size(1, 1, 1)))
__kernel void stream(__global const float *restrict x, __global float *restrict out) {{
  const float16 m = vload16(0, x), c = vload16(0, x + 16);
  {" ".join(f"float16 a{n} = m + {n}.0f;" for n in range(CHAINS))}
  for (int i = 0; i < {LOOPS}; i++) {{ {" ".join(f"a{n} = fma(a{n}, m, c);" for n in range(CHAINS))} }}
  vstore16({" + ".join(f"a{n}" for n in range(CHAINS))}, 0, out + get_group_id(0) * 16);
}}
"""
PARAMS = tuple(Param(name, dtypes.float32, SIZE) for name in ("x", "out"))


def measured() -> dict[str, float]:
    """Units per second: "flops" float32 operations, "copy" bytes read plus written, "read" and "fill" bytes."""
    runtime = Device[Device.DEFAULT]
    memories = [runtime.allocate(4 * SIZE) for _ in PARAMS]
    for memory in memories:
        rate(runtime, FILL, SIZE // BLOCK, [memories[0], memory])
    return {
        "flops": GROUPS * LOOPS * CHAINS * 32 * rate(runtime, MULTIPLY_ADD, GROUPS, memories),
        "copy": 8 * SIZE * max(rate(runtime, source, SIZE // BLOCK, memories) for source in (COPY, PAST_CACHES)),
        "read": 4 * SIZE * rate(runtime, READ, SIZE // BLOCK, memories),
        "fill": 4 * SIZE * rate(runtime, FILL, SIZE // BLOCK, memories),
    }


def rate(runtime: Runtime, source: str, groups: int, memories: list[Memory]) -> float:
    """Launches per second of a kernel, at best."""
    program = Program("opencl", source, "stream", (groups,), PARAMS, frozenset(("out",)))
    (executable,) = runtime.compile([program])

    def work() -> None:
        runtime.launch(executable, memories)
        runtime.synchronize()

    return 1 / best(work, rounds=ROUNDS)
