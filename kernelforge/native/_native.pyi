VERSION: int
STACK: int

def threads(most: int, /) -> int: ...

class Sequence:
    def __init__(
        self,
        steps: list[tuple[int, tuple[int, int, int], bool, int, tuple[tuple[int, int], ...], tuple[int, ...]]],
        places: int,
    ) -> None: ...
    def run(self, *addresses: int) -> None: ...
