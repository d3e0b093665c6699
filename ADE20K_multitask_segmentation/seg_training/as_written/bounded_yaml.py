"""YAML of bounded size: what anchors repeat counts each time, and nothing nests without end."""

from typing import Any

import yaml

__all__ = ["BoundedLoader", "read_bounded"]

_MOST_NODES = 1_000_000
_DEEPEST = 100
_TOO_DEEP = f"it is nested more than {_DEEPEST} levels deep"


def read_bounded(text: str) -> Any:
    """Read YAML of bounded size.

    Args:
        text: of a file.

    Raises:
        yaml.YAMLError: if it is no YAML, if there is too much, or if a value cannot be: the
            thirtieth of February, or a number of five thousand digits.
    """
    try:
        return yaml.load(text, BoundedLoader)
    except (ValueError, OverflowError, LookupError, AttributeError, TypeError) as error:
        raise yaml.YAMLError(f"a value in it cannot be read ({error})") from error


class BoundedLoader(yaml.SafeLoader):
    """Refuses what is small as a file, and would fill the memory as soon as it is walked through.

    Ten lines, each with nine times the one before, stand for a thousand million names.
    """

    def __init__(self, stream: Any) -> None:
        """Begin; see YAML's own loader."""
        super().__init__(stream)
        self._nodes = self._depth = 0
        self._size: dict[int, int] = {}

    def fetch_flow_collection_start(self, TokenClass: Any) -> None:
        """Read a bracket that opens; YAML's own reader takes hours for a million of them.

        Raises:
            yaml.YAMLError: if too many are open.
        """
        super().fetch_flow_collection_start(TokenClass)
        if self.flow_level > _DEEPEST:
            raise yaml.YAMLError(_TOO_DEEP)

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Read a node with all that is in it.

        Raises:
            yaml.YAMLError: if there is too much.
        """
        if self.check_event(yaml.AliasEvent):
            node = super().compose_node(parent, index)
            if id(node) not in self._size:
                raise yaml.YAMLError("an anchor holds itself; write out what is meant")
            self._count(self._size[id(node)])
            return node
        before = self._nodes
        self._count(1)
        self._depth += 1
        if self._depth > _DEEPEST:
            raise yaml.YAMLError(_TOO_DEEP)
        node = super().compose_node(parent, index)
        self._depth -= 1
        if node is not None:
            self._size[id(node)] = self._nodes - before
        return node

    def _count(self, nodes: int) -> None:
        self._nodes += nodes
        if self._nodes > _MOST_NODES:
            raise yaml.YAMLError(
                f"with all that its anchors (&name, *name) repeat it has more than {_MOST_NODES:,} "
                "entries; write out what is meant"
            )
