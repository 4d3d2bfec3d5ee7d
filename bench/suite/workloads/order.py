"""Order: sorting rows and one long vector, the largest few."""

from bench.suite.workload import Workload, floats

WORKLOADS = [
    Workload("sort rows 1024x1024", "order", floats((1024, 1024)), lambda f, x: f.sort(x)),
    Workload("sort 1048576", "order", floats((1 << 20,)), lambda f, x: f.sort(x)),
    Workload("topk 8 of rows 1024x4096", "order", floats((1024, 4096)), lambda f, x: f.topk(x, 8)),
    Workload("topk 50 of 1x50000", "order", floats((1, 50_000)), lambda f, x: f.topk(x, 50)),
]
