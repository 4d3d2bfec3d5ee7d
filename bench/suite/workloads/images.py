"""Images: the convolutions of ResNet-18 on one and on eight images, others of odd sizes and in groups, with norms
between them, pooling."""

from bench.suite.workload import Workload, floats


def convolution(images: int, channels: int, outputs: int, plane: int, taps: int, stride: int = 1, groups: int = 1):
    """A convolution that keeps the plane but for its stride; forward, and with both gradients."""
    side = -(-plane // stride)
    image, weight = (images, channels, plane, plane), (outputs, channels // groups, taps, taps)
    result = (images, outputs, side, side)
    title = f"conv {images}x{channels}x{plane}x{plane} to {outputs}, {taps}x{taps}"
    title += (f" stride {stride}" if stride > 1 else "") + (f" groups {groups}" if groups > 1 else "")
    flops = 2 * images * outputs * side * side * channels // groups * taps * taps

    def work(f, x, w):
        return f.conv2d(x, w, stride=stride, padding=taps // 2, groups=groups)

    forward = Workload(title, "convolutions", floats(image, weight), work, flops=flops)
    gradient = Workload(
        f"{title} forward + backward", "convolutions", floats(image, weight, result), work, wrt=(0, 1), flops=3 * flops
    )
    return forward, gradient


def normed(images: int, channels: int, plane: int) -> Workload:
    """Two convolutions and a norm of 8 groups between them, as in networks that remove noise."""
    image, weight = (images, channels, plane, plane), (channels, channels, 3, 3)

    def work(f, x, first, scale, shift, second):
        between = f.silu(f.group_norm(f.conv2d(x, first, padding=1), 8, scale, shift))
        return f.conv2d(between, second, padding=1)

    return Workload(
        f"conv, group norm, silu, conv {images}x{channels}x{plane}x{plane} forward + backward",
        "convolutions",
        floats(image, weight, (channels,), (channels,), weight, image),
        work,
        wrt=(0, 1, 2, 3, 4),
        flops=12 * images * channels * plane**2 * channels * 9,
    )


def pooling(name: str, work, images: int, plane: int, result: int) -> list[Workload]:
    """Of 64 channels."""
    before, after = (images, 64, plane, plane), (images, 64, result, result)
    read, write = 256 * images * plane**2, 256 * images * result**2
    title = f"{name} {images}x64x{plane}x{plane}"
    return [
        Workload(title, "pooling", floats(before), work, read=read, write=write),
        Workload(
            f"{title} forward + backward",
            "pooling",
            floats(before, after),
            work,
            wrt=(0,),
            read=read + write,
            write=read + write,
        ),
    ]


RESNET = [
    convolution(8, 3, 64, 224, 7, 2),
    convolution(8, 64, 64, 56, 3),
    convolution(8, 64, 128, 56, 3, 2),
    convolution(8, 64, 128, 56, 1, 2),
    convolution(8, 128, 128, 28, 3),
    convolution(8, 128, 256, 28, 3, 2),
    convolution(8, 256, 256, 14, 3),
    convolution(8, 256, 512, 14, 3, 2),
    convolution(8, 512, 512, 7, 3),
]
OTHERS = [
    convolution(8, 64, 256, 56, 1),
    convolution(4, 48, 96, 57, 3, 2),
    convolution(4, 33, 65, 37, 5),
    convolution(8, 64, 128, 28, 3, groups=4),
    convolution(8, 128, 128, 56, 3, groups=128),
    convolution(8, 144, 144, 56, 3, 2, groups=144),
    convolution(8, 256, 256, 14, 3, groups=256),
]

WORKLOADS = [
    *(workload for pair in RESNET + OTHERS for workload in pair),
    *(convolution(1, size, size, plane, 3)[0] for size, plane in ((64, 56), (128, 28), (256, 14), (512, 7))),
    normed(2, 32, 64),
    normed(4, 64, 32),
    *pooling("max pool 3x3 stride 2", lambda f, x: f.max_pool(x, 3, 2, 1), 8, 112, 56),
    *pooling("max pool 2x2", lambda f, x: f.max_pool(x, 2, 2), 16, 112, 56),
    *pooling("average pool 2x2", lambda f, x: f.avg_pool(x, 2, 2), 16, 112, 56),
]
