"""YAML files whose top level is a mapping."""

from pathlib import Path
from typing import Any

import yaml

from components.errors import ConfigError
from components.runtime.environ import hide_variables

_LONGEST = 1_000_000  # bytes per file, a hundred times the longest shipped one
_MOST_VALUES = 100_000  # values per file, with every anchor expanded
_LARGEST = 2**63 - 1
_DEEPEST = 100  # levels of nested sections


def read_mapping(path: Path, holds: str, remedy: str) -> dict[str, Any]:
    """Read the mapping in a YAML file; an empty file gives an empty mapping.

    Args:
        path: File to read.
        holds: Keys of its top level, for messages.
        remedy: Advice if it cannot be read.

    Raises:
        ConfigError: If the file cannot be read, is not text or YAML, is too large, or holds something else.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_LONGEST + 1)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}). {remedy}") from error
    if len(data) > _LONGEST:
        raise ConfigError(f"{path}: larger than {_LONGEST:,} bytes, so it is no configuration. {remedy}")
    try:
        text = data.decode("utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path}: not a text file in UTF-8 ({error.reason} at byte {error.start})"
        ) from error
    hide_variables(text)
    values = read_yaml(text, f"{path}: not valid YAML")
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected a mapping with {holds}; found {type(values).__name__}")
    return values


def read_yaml(text: str, complaint: str) -> Any:
    """Return the value of a YAML text.

    Args:
        text: One YAML document.
        complaint: Beginning of messages.

    Raises:
        ConfigError: If it is not YAML, repeats a key, or becomes enormous by its anchors.
    """
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise ConfigError(f"{complaint}: {error}") from error
    except (ValueError, TypeError, AttributeError, LookupError, OverflowError) as error:
        # PyYAML raises these for an impossible date, an integer of thousands of digits or a wrong tag.
        raise ConfigError(f"{complaint}: {str(error)[:200]}") from error


class _Loader(yaml.SafeLoader):
    """Safe loader that also refuses a repeated key in a mapping, and texts that expand without bound."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self.depth += 1
        if self.depth > _DEEPEST:  # checked while reading, as reading deeper takes long
            raise yaml.composer.ComposerError(
                None,
                None,
                f"sections are nested more than {_DEEPEST} deep",
                self.peek_event().start_mark,
            )
        node: yaml.Node | None = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def get_single_node(self) -> yaml.Node | None:
        node: yaml.Node | None = super().get_single_node()
        if node is not None:
            _check_size(node)
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        if isinstance(node, yaml.MappingNode):  # if a tag is wrong, the base class reports it
            keys = [key.value for key, _ in node.value]
            repeated = sorted(
                {key for key in keys if isinstance(key, str) and keys.count(key) > 1 and key != "<<"}
            )
            if repeated:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{repeated[0]!r} is repeated", node.start_mark
                )
        return super().construct_mapping(node, deep)

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        number = int(super().construct_yaml_int(node))
        if abs(number) > _LARGEST:
            raise yaml.constructor.ConstructorError(
                None, None, "an integer of more than 64 bits", node.start_mark
            )
        return number


_Loader.add_constructor("tag:yaml.org,2002:int", _Loader.construct_yaml_int)


def _check_size(root: yaml.Node) -> None:
    """Refuse anchors that expand to too many values, or that contain themselves.

    A scalar counts as one value per hundred characters, so that long text cannot be repeated either.
    """
    sizes: dict[int, int] = {}
    above: set[int] = set()

    def size(node: yaml.Node) -> int:
        if id(node) in above:
            raise yaml.composer.ComposerError(None, None, "an anchor contains itself", node.start_mark)
        if id(node) not in sizes:
            if isinstance(node, yaml.ScalarNode):
                sizes[id(node)] = 1 + len(node.value) // 100
            else:
                above.add(id(node))
                pairs = isinstance(node, yaml.MappingNode)
                parts = [part for pair in node.value for part in pair] if pairs else node.value
                sizes[id(node)] = 1 + sum(map(size, parts))
                above.discard(id(node))
        if sizes[id(node)] > _MOST_VALUES:
            raise yaml.composer.ComposerError(
                None,
                None,
                f"with its anchors expanded it has more than {_MOST_VALUES:,} values",
                node.start_mark,
            )
        return sizes[id(node)]

    size(root)
