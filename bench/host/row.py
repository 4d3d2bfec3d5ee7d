"""A line of the table: what was measured, in which unit, what shall be reached, and what it was.

Comes in: numbers.  Goes out: text.  It knows nothing of how they were measured.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

HEAD = ("what", "goal", "kernelforge", "peers")


@dataclass(frozen=True)
class Row:
    """One figure.

    what   in words, with its unit
    ours   the figure
    goal   the most it shall be; None where nothing is set
    peers  the same of others, by name
    note   what belongs to the figure: a part of it, for instance
    """

    what: str
    ours: float
    goal: float | None = None
    peers: Mapping[str, float] = field(default_factory=dict)
    note: str = ""

    @property
    def cells(self) -> tuple[str, str, str, str]:
        """The cells of a table.

        >>> Row("a call, us", 3.14159, 5, {"torch": 2.71828}).cells
        ('a call, us', '5', '3.14', 'torch 2.72')
        """
        goal = "" if self.goal is None else f"{self.goal:g}"
        ours = _short(self.ours) + (f" ({self.note})" if self.note else "")
        return self.what, goal, ours, ", ".join(f"{name} {_short(value)}" for name, value in self.peers.items())


def _short(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
