"""The list of workloads. A new one is an entry in the file of its kind; `ALL` finds it."""

from bench.suite.workload import Step, Workload
from bench.suite.workloads import attention, images, models, order, products, rows, streams

ALL: dict[str, Workload | Step] = {
    workload.name: workload
    for kind in (products, streams, rows, images, attention, order, models)
    for workload in kind.WORKLOADS
}
