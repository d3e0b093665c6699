"""Hydra's config files and overrides, with names of classes as they are written.

YAML and Hydra would make False of a class ``no``, 1000.0 of ``1e3`` and nothing of ``null``, and of
two classes with one label value they would drop the first.
"""

import re
from pathlib import Path
from typing import Any

import yaml
from antlr4 import CommonTokenStream, InputStream  # type: ignore[import-untyped]
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.override_parser.overrides_parser import OverridesParser, create_functions
from hydra.core.override_parser.overrides_visitor import HydraErrorListener, HydraOverrideVisitor
from hydra.core.override_parser.types import Override, OverrideType, Quote, QuotedString, ValueType
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.grammar.gen.OverrideLexer import OverrideLexer
from hydra.grammar.gen.OverrideParser import OverrideParser
from hydra.plugins.config_source import ConfigResult
from omegaconf import OmegaConf

from seg_training.as_written.hydra_overrides import quoted_list
from seg_training.as_written.yaml_as_written import Written, read_written, with_written_classes
from seg_training.errors import UserError

__all__ = ["override_as_written", "take_classes_as_written"]

_TASKS = re.compile(r"\+{0,2}(data\.datasets\.[^.]+\.)?tasks\.classes")


class _ConfigFiles(FileConfigSource):
    """Hydra's own reader of config files, but for the names of classes."""

    def load_config(self, config_path: str) -> ConfigResult:
        file = Path(self.path) / self._normalize_file_name(config_path)
        written = read_written(file) if file.is_file() else None
        try:
            result = super().load_config(config_path)
        except UnicodeDecodeError as error:
            raise UserError(f"{file} is not valid YAML for Hydra: save it as UTF-8 text") from error
        except yaml.YAMLError as error:  # of what read_written takes as a text
            raise UserError(
                f"{file} is not valid YAML for Hydra: {error}. Texts such as '<<' and '=' need "
                "quotes there"
            ) from error
        if isinstance(written, dict):
            plain = OmegaConf.to_container(result.config, resolve=False)
            group = Path(config_path).parent.parts  # of configs/tasks/mine.yaml: tasks
            changed = with_written_classes(plain, written, str(file), group)
            result.config = OmegaConf.create(changed)
        return result


# A job of a launcher gets this registry and lets Hydra register its own once more: of the same name
# it leaves ours.
_ConfigFiles.__name__ = FileConfigSource.__name__


def take_classes_as_written() -> None:
    """Let Hydra read every config file so, those that its command line names as well."""
    Plugins.instance()  # registers Hydra's own, once
    SourcesRegistry.instance().types[_ConfigFiles.scheme()] = _ConfigFiles


def override_as_written(text: str) -> str:
    """Quote the names of classes in an override, so that Hydra takes them as they are written.

    Args:
        text: ``tasks.classes=[yes,null]``, say.

    Returns:
        ``tasks.classes=['yes','null']``; as it is, where Hydra reads the same or cannot read it.

    Raises:
        UserError: if a name or a label value there is none, or if a key stands twice.
    """
    if "classes" not in text:
        return text
    try:
        override = OverridesParser.create().parse_override(text)
        if override.value_type is not ValueType.ELEMENT or override.type is OverrideType.DEL:
            return text
        written = _parsed(text)
    except HydraException:
        key, _, value = text.partition("=")
        listed = quoted_list(value) if _TASKS.fullmatch(key) else None
        # Whoever uses what nobody can read says so.
        return override_as_written(f"{key}={listed}") if listed not in (None, value) else text
    keys = tuple(override.key_or_group.split("."))
    plain, given_in = override.value(), f"'{text}'"
    if isinstance(written, Written) and keys[-1] == "classes":
        return text  # a path, or 'all'
    for key in reversed(keys):
        plain, written = {key: plain}, {key: written}
    changed = with_written_classes(plain, written, given_in)
    if changed == plain:
        return text
    for _ in keys:  # of label values they are numbers now
        [changed] = changed.values()
    override._value = _quoted(changed, given_in)
    return text[: text.index("=") + 1] + override.get_value_element_as_str()


class _Visitor(HydraOverrideVisitor):
    """Reads every scalar as ``Written``."""

    def _createPrimitive(self, ctx: Any) -> Written:
        read = super()._createPrimitive(ctx)
        if isinstance(read, QuotedString):
            return Written(read.text, quoted=True)
        return Written(read if isinstance(read, str) else ctx.getText().strip())

    def visitDictContainer(self, ctx: Any) -> dict[str, Any]:
        pairs = [
            self.visitDictKeyValuePair(ctx.getChild(place))
            for place in range(1, ctx.getChildCount() - 1, 2)
        ]
        keys = [key for key, _ in pairs]
        if twice := [key for key in keys if keys.count(key) > 1]:
            raise UserError(
                f"'{twice[0]}' stands twice in {ctx.getText()}: only one of the two would count. "
                "Join them or remove one"
            )
        return dict(pairs)


def _parsed(text: str) -> Any:
    """Parse an override's value as Hydra does, with ``Written`` for scalars."""
    listener = HydraErrorListener()
    lexer = OverrideLexer(InputStream(text))
    parser = OverrideParser(CommonTokenStream(lexer))
    for part in (lexer, parser):
        part.removeErrorListeners()
        part.addErrorListener(listener)
    tree = parser.override()  # type: ignore[no-untyped-call]
    override: Override = _Visitor(create_functions()).visit(tree)
    return override._value


def _quoted(value: Any, given_in: str) -> Any:
    """Give texts the quotes with which Hydra takes them as texts; keys cannot have any."""
    if isinstance(value, list):
        return [_quoted(item, given_in) for item in value]
    if isinstance(value, dict):
        return {_key(key, given_in): _quoted(item, given_in) for key, item in value.items()}
    return QuotedString(value, Quote.single) if isinstance(value, str) else value


def _key(key: Any, given_in: str) -> Any:
    if isinstance(key, str):
        escaped = Override._get_value_element_as_str(key)
        [read] = OverridesParser.create().parse_rule(f"{{{escaped}: 0}}", "element")
        if str(read) != key:
            raise UserError(
                f"{given_in}: Hydra does not take '{key}' for a name there; write it in a config "
                "file"
            )
    return key
