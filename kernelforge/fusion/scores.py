"""What contractions are used for, and which of them are an attention's scores.

Comes in: the users of a graph's nodes, and its contractions.  Goes out: `Uses`.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence

from codegen.ops import SCALAR_OPS
from kernelforge.fusion.limits import Limits
from kernelforge.graph import Node
from kernelforge.rewrites.split import is_narrow
from kernelforge.seen import BIJECTIVE, REPEATING, through


class Uses:
    """The uses of a graph's contractions.

    users         those of each node
    contractions  each with its factors
    """

    def __init__(self, users: Mapping[Node, Sequence[Node]], contractions: Mapping[Node, tuple[Node, ...]]) -> None:
        self.users, self.contractions = users, contractions

    def scores(self, stored: Container[Node], limits: Limits) -> set[Node]:
        """The scores of attentions: short contractions whose values are both reduced and contracted again.

        They feed a maximum, which a single pass can rescale by; or they meet values that do (their gradients).  Other
        statistics would need the contraction once per pass, so there it is stored.
        """
        uses = {}
        for node in self.contractions:
            longest = limits.width if is_narrow(node) else limits.tile
            if node not in stored and node.src[0].size <= node.size * longest:
                uses[node] = self._of(node)
        scores = {node for node, (_, reduced, contracted) in uses.items() if "max" in reduced and contracted}
        near = frozenset().union(*(uses[node][0] for node in scores))
        for node, (seen, reduced, contracted) in uses.items():
            if reduced and contracted and not near.isdisjoint(seen):
                scores.add(node)
        return scores

    def _of(self, node: Node) -> tuple[set[Node], set[str], bool]:
        """Nodes of a contraction's size computed from it; the plain reductions they feed; whether one is contracted."""
        seen, pending = {node}, [node]
        reduced: set[str] = set()
        contracted = False
        while pending and len(seen) < 96:
            current = pending.pop()
            for user in self.users[current]:
                if user.op == "expand" or (user.op == "mul" and user.size > node.size):
                    contracted = contracted or self._leads_to_contraction(user, current)
                elif user.op == "reduce":
                    if user not in self.contractions:
                        reduced.add(user.attr[0])
                elif user not in seen and user.size == node.size and (user.op in SCALAR_OPS or user.op in BIJECTIVE):
                    seen.add(user)
                    pending.append(user)
        return seen, reduced, contracted

    def _leads_to_contraction(self, node: Node, factor: Node) -> bool:
        """True when node is the factor repeated, and a contraction is among what uses it."""
        factor = through(factor, REPEATING | {"cast"})
        return any(factor in self.contractions[user] for user in self.contractions_of(node, REPEATING | {"cast"}))

    def contractions_of(self, node: Node, views: frozenset[str]) -> list[Node]:
        """The contractions that multiply a node, or what the given views show of it, with something."""
        found = []
        seen, pending = {node}, [node]
        while pending and len(seen) < 32:
            current = pending.pop()
            for user in self.users[current]:
                if user in seen:
                    continue
                seen.add(user)
                if user in self.contractions:
                    found.append(user)
                elif user.op in views or user.op == "mul":
                    pending.append(user)
        return found
