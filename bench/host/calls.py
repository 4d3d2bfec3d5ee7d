"""What calls cost in a process that has made them before.

Comes in: how often to repeat.  Goes out: rows in microseconds.  The kernels are as small as can be; everything is
computed and waited for, on one thread everywhere.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from bench.host.row import Row
from bench.measure import best, ratio
from kernelforge import Device, Tensor, jit, nn, optim
from kernelforge.kernels.opencl import OpenCLRuntime
from kernelforge.kernels.opencl_native import sequence

KERNELS, OPERATIONS, LOOP = 1000, 1000, 200
SIZE = 64
MUCH = 256 << 20  # bytes


def expression(x: Any) -> Any:
    return x * 2 + 1


def rows(rounds: int) -> Iterator[Row]:
    """All there are."""
    yield replay(rounds)
    yield many_kernels(rounds)
    yield building(rounds)
    yield loop(rounds)
    yield training(rounds)
    yield from singles(rounds)


def replay(rounds: int) -> Row:
    """A captured call of one kernel."""
    x, captured = numbers(), jit(expression)
    for _ in range(3):
        captured(x)
    ours, given = 1e6 * best(lambda: captured(x), rounds), 1e6 * best(submission(captured), rounds)
    what = f"captured x * 2 + 1 on {SIZE} values, beyond the runtime's submission, us"
    return Row(what, ours - given, 5, _replayed_by_peers(rounds), f"{ours:.2f} in all")


def _replayed_by_peers(rounds: int) -> dict[str, float]:
    found = {}
    if (torch := _torch()) is not None:
        y = torch.arange(SIZE, dtype=torch.float32)
        found["torch eager"] = 1e6 * best(lambda: expression(y), rounds)
        compiled = torch.compile(expression)
        found["torch.compile"] = 1e6 * best(lambda: compiled(y), rounds)
    try:
        import jax
    except ImportError:
        return found
    function, z = jax.jit(expression), jax.numpy.arange(SIZE, dtype=jax.numpy.float32)
    found["jax"] = 1e6 * best(lambda: function(z).block_until_ready(), rounds)
    return found


def many_kernels(rounds: int) -> Row:
    """A captured step of many kernels, for each."""

    def step(x: Tensor) -> Tensor:
        for _ in range(KERNELS):
            x = (x + x.sum() * 1e-6).contiguous()
        return x

    x, captured = numbers(), jit(step)
    for _ in range(3):
        captured(x)
    kernels = captured._entries[0].capture.plans[0].kernels
    total, given = (1e6 / kernels * best(call, rounds) for call in (lambda: captured(x), submission(captured)))
    what = f"Python for a kernel of a captured step of {kernels}, us"
    return Row(what, total - given, 1, note=f"{total:.2f} with submission and kernel")


def submission(captured: Any) -> Callable[[], None]:
    """A call that gives the runtime the kernels of a captured function, by the shortest way there is."""
    runtime = Device[Device.DEFAULT]
    assert isinstance(runtime, OpenCLRuntime), "the processor's OpenCL runtime is what this measures"
    (plan,) = captured._entries[0].capture.plans
    if runtime.is_native:
        slots = sorted({slot for _, places in plan.batch for slot in places})
        memories = [runtime.allocate(plan.slots[slot].nbytes) for slot in slots]
        order = {slot: i for i, slot in enumerate(slots)}
        launches = [(executable.native, [(order[slot], 0) for slot in places]) for executable, places in plan.batch]
        run, addresses = sequence(launches, len(slots)), [memory.block.address for memory in memories]
        return lambda: run(*addresses)
    queues, executables = runtime._queues, [executable for executable, _ in plan.batch]
    pairs = [(x.direct.call, x.direct.at, x.direct.groups[0]) for x in executables if x.direct is not None]

    def called() -> None:
        for call, arguments, group in pairs:
            call(arguments, group, None)

    def queued() -> None:
        for x in executables:
            queues._enqueue(queues._immediate or queues.main, x.kernel, x.global_size, x.local_size)
        queues.main.finish()

    return called if len(pairs) == len(executables) else queued


def building(rounds: int) -> Row:
    """Graphs made and forgotten, for each operation."""

    def build(x: Any, y: Any) -> Any:
        for _ in range(OPERATIONS // 5):
            x = ((x + y) * 0.5 - y).relu() @ y
        return x

    x, y = (Tensor(np.eye(4, dtype=np.float32)).realize() for _ in range(2))
    ours = 1e6 / OPERATIONS * best(lambda: build(x, y), rounds)
    return Row("an operation added to a graph, us", ours, 6)


def loop(rounds: int) -> Row:
    """Small operations computed one by one."""

    def work(x: Any, computed: Callable[[Any], Any]) -> None:
        for _ in range(LOOP // 4):
            x = computed(x + 1)
            x = computed(x * 0.5)
            x = computed(x + x)
            x = computed(x - 1)

    x, torch = numbers(), _torch()
    ours = lambda: work(x, Tensor.realize)  # noqa: E731
    what = f"a loop of {LOOP} small operations, none fused, us"
    if torch is None:
        return Row(what, 1e6 * best(ours, rounds))
    y = torch.arange(SIZE, dtype=torch.float32)
    found = ratio(ours, lambda: work(y, lambda value: value), rounds)
    theirs = 1e6 * found.theirs
    return Row(what, 1e6 * found.ours, round(2 * theirs), {"torch eager": theirs})


def training(rounds: int) -> Row:
    """A training step that is not captured: three small layers, cross-entropy, AdamW."""
    random = np.random.default_rng(0)
    values, labels = random.standard_normal((32, SIZE), np.float32), random.integers(0, 10, 32)
    step = _step(nn, optim.AdamW, Tensor(values).realize(), Tensor(labels).realize())
    what = "a training step of three small layers with AdamW, us"
    if (torch := _torch()) is None:
        return Row(what, 1e6 * best(step, rounds))
    with torch.enable_grad():
        other = _step(torch.nn, torch.optim.AdamW, torch.from_numpy(values), torch.from_numpy(labels), fused=True)
        found = ratio(step, other, rounds)
    return Row(what, 1e6 * found.ours, round(1e6 * found.theirs, 1), {"torch eager": 1e6 * found.theirs})


def _step(nn: Any, optimizer: Any, x: Any, labels: Any, **options: Any) -> Callable[[], None]:
    layers = [nn.Linear(SIZE, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 10)]
    model = nn.Sequential(*layers)
    stepping = optimizer(model.parameters(), lr=1e-3, **options)

    def step() -> None:
        stepping.zero_grad()
        nn.functional.cross_entropy(model(x), labels).backward()
        stepping.step()

    return step


def singles(rounds: int) -> Iterator[Row]:
    """Single operations on 64 x 64 values, and a chain, in a process that much memory has come and gone in."""
    (Tensor(np.zeros(MUCH // 4, np.float32)) + 1).realize()
    torch = _torch()
    values = np.random.default_rng(0).standard_normal((SIZE, SIZE), np.float32)
    x = Tensor(values).realize()
    work: dict[str, Callable[[Any], Any]] = {
        "x + x": lambda x: x + x,
        "x.sum()": lambda x: x.sum(),
        "x.softmax(-1)": lambda x: x.softmax(-1),
        "x @ x": lambda x: x @ x,
        "five layers of x @ x and relu": lambda x: _layers(x, x),
    }
    for name, function in work.items():
        what = f"{name} on {SIZE} x {SIZE}, us"
        if torch is None:
            yield Row(what, 1e6 * best(lambda: function(x).realize(), rounds))  # noqa: B023
            continue
        y = torch.from_numpy(values)
        found = ratio(lambda: function(x).realize(), lambda: function(y), rounds)  # noqa: B023
        theirs = 1e6 * found.theirs
        yield Row(what, 1e6 * found.ours, round(theirs * (1 if "five" in name else 1.25), 1), {"torch eager": theirs})


def _layers(x: Any, weight: Any) -> Any:
    for _ in range(5):
        x = (x @ weight).relu()
    return x


def numbers() -> Tensor:
    return Tensor(np.arange(SIZE, dtype=np.float32)).realize()


def _torch() -> Any:
    try:
        import torch
    except ImportError:
        return None
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    return torch
