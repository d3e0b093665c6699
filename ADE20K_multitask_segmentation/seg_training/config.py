"""Configs: composed by Hydra, used and saved as plain dicts."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import OverrideType
from hydra.errors import (
    ConfigCompositionException,
    HydraException,
    MissingConfigException,
    OverrideParseException,
)
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import (
    ConfigAttributeError,
    ConfigKeyError,
    ConfigTypeError,
    OmegaConfBaseException,
)

from seg_training.as_written.configs_as_written import override_as_written, take_classes_as_written
from seg_training.as_written.hydra_overrides import (
    as_typed,
    literal,
    quoted,
    quoted_list,
)
from seg_training.config_sections import SECTIONS, check_sections
from seg_training.errors import UserError, suggest
from seg_training.files.user_paths import user_path
from seg_training.known_settings import (
    KNOWN,
    LoadingSettings,
    RunSettings,
    SeveralDatasetsSettings,
    check_config,
    entries,
    of_any_dataset,
)
from seg_training.settings import Section, check_keys

__all__ = [
    "compose_config",
    "compose_given",
    "default_config_dir",
    "explain",
    "given_overrides",
    "literal_config",
    "override_config",
    "plain_config",
    "translate_config_argument",
]

_OF_SEVERAL_DATASETS = SeveralDatasetsSettings.entries().keys() - LoadingSettings.entries().keys()
_TOP_LEVEL = (*SECTIONS, *RunSettings.entries())


def experiment_names(config_dir: Path) -> list[str]:
    """List the experiment files."""
    return sorted(file.name for file in config_dir.glob("*.yaml"))


def default_config_dir() -> Path:
    """Find the configs: where one is, in the checkout, or in the wheel, which brings them along."""
    here, shipped = Path("configs").absolute(), Path(__file__).with_name("configs")
    if here.is_dir():
        return here
    return shipped if shipped.is_dir() else Path(__file__).parents[2] / "configs"


def translate_config_argument(arguments: Sequence[str], config_dir: Path) -> list[str]:
    """Turn ``--config FILE`` into Hydra's own options, so that all of those keep working.

    Paths in overrides are quoted for Hydra where they have to be, names of classes as well.

    Args:
        arguments: the command line, without the program.
        config_dir: where experiment files are; a path to another folder's file works as well.

    Raises:
        UserError: if the file does not exist, or if none was named.
    """
    _prepare_hydra()
    translated: list[str] = []
    rest = iter(arguments)
    named = False
    for argument in rest:
        option, equals, value = argument.partition("=")
        if option in ("--config-name", "-cn", "--help", "-h", "--hydra-help", "--version"):
            named = True
        if option != "--config":
            translated.append(argument)
            continue
        file = user_path((value if equals else next(rest, "")) or ".")
        named = True
        if not file.stem:
            raise UserError(f"--config needs a file (known: {_listed(config_dir)})")
        if (config_dir / f"{file.name.removesuffix('.yaml')}.yaml").is_file() and (
            file.parent == Path() or file.parent.absolute() == config_dir
        ):
            folder: list[str] = []
        elif file.is_file() and (config_dir / file.name).is_file():
            # Hydra would take the project's file of that name.
            raise UserError(f"{file} has the name of a config of the project; rename it")
        elif file.is_file():
            folder = ["--config-dir", str(file.parent.absolute())]
        else:
            beside = experiment_names(file.parent) if file.parent.is_dir() else []
            hint = suggest(file.name, [*beside, *experiment_names(config_dir)])
            raise UserError(f"config {file} does not exist{hint} (known: {_listed(config_dir)})")
        translated += [*folder, "--config-name", file.name.removesuffix(".yaml")]
    if not named:
        raise UserError(f"which experiment? Add --config FILE (known: {_listed(config_dir)})")
    return _as_written(translated, sweep=_sweeps(arguments))


def compose_given(file: str | None, overrides: Sequence[str], config_dir: Path) -> dict[str, Any]:
    """Compose the experiment of a command's ``--config`` and overrides.

    Args:
        file: what ``--config`` names: one of the project's, or a file elsewhere; None without it.
        overrides: ``key=value``, as on the command line.
        config_dir: the project's folder of configs.

    Raises:
        UserError: if no file was named, or if a file, group or key does not exist.
    """
    given = [] if file is None else ["--config", file]
    *elsewhere, _, name = translate_config_argument(given, config_dir)
    if not elsewhere:
        return compose_config(name, overrides, config_dir)
    # A file of the user's own: --config-dir and its folder.
    shipped = quoted(f"file://{config_dir}")
    return compose_config(name, [f"hydra.searchpath=[{shipped}]", *overrides], Path(elsewhere[1]))


def _prepare_hydra() -> None:
    """Tell Hydra the defaults of the settings, ``optimizer_settings`` and so on."""
    take_classes_as_written()
    nodes: list[type[Section]] = [*KNOWN, LoadingSettings]
    for own in nodes:
        ConfigStore.instance().store(f"{own.node}_settings", literal(own.shown()))


def _as_written(overrides: Sequence[str], *, sweep: bool = False) -> list[str]:
    """Let Hydra take paths and names of classes as they are written; options stay."""
    return [
        each if each.startswith("-") else override_as_written(each)
        for each in as_typed(overrides, _TOP_LEVEL, sweep=sweep)
    ]


def _sweeps(arguments: Sequence[str]) -> bool:
    """Tell whether commas separate values; Hydra takes shortened options, too."""
    options = ("-m", "--multirun", "hydra.mode=MULTIRUN")
    return any(
        argument in options or (len(argument) > 2 and options[1].startswith(argument))
        for argument in arguments
    )


def _listed(config_dir: Path) -> str:
    return ", ".join(experiment_names(config_dir))


def compose_config(
    name: str, overrides: Sequence[str] = (), config_dir: Path | None = None
) -> dict[str, Any]:
    """Compose an experiment in Python, as the command line does.

    Args:
        name: the experiment's file, with or without ``.yaml``.
        overrides: ``key=value``, as on the command line.
        config_dir: the folder of the configs; :func:`default_config_dir` by default.

    Raises:
        UserError: if a file, group or key does not exist.
    """
    folder = (config_dir or default_config_dir()).absolute()
    name = name.removesuffix(".yaml")
    if not (folder / f"{name}.yaml").is_file():
        hint = suggest(f"{name}.yaml", experiment_names(folder))
        raise UserError(f"config {folder / name}.yaml does not exist{hint}")
    _prepare_hydra()
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(folder), version_base="1.3"):
            composed = compose(name, _as_written(overrides))
            return {**plain_config(composed), "config_name": name}
    except (HydraException, OmegaConfBaseException) as error:
        raise explain(error, folder) from error


def plain_config(config: DictConfig | Mapping[str, Any]) -> dict[str, Any]:
    """Resolve a config to plain dicts and lists, and check its top level.

    Raises:
        UserError: if a section is unknown or missing.
    """
    if isinstance(config, DictConfig):
        composed: Any = OmegaConf.to_container(config, resolve=True, throw_on_missing=False)
    else:
        composed = dict(config)
    if not isinstance(composed, dict):
        raise UserError("a config is a mapping of sections")
    plain = {str(key): value for key, value in composed.items()}
    check_keys(plain, _TOP_LEVEL, "")
    check_sections(plain)
    check_config({"seed": plain.get("seed", 0)})
    check_config(plain, paths_only=True)
    top_level = {name: own.default for name, own in RunSettings.entries().items()}
    return {**top_level, **plain}


def literal_config(config: Mapping[str, Any]) -> DictConfig:
    """Make plain values a config of OmegaConf that resolves to just these values.

    Args:
        config: plain dicts; a class of it may be called ``${void}``, which refers to nothing.
    """
    made: DictConfig = OmegaConf.create(literal(dict(config)))
    return made


def given_overrides() -> list[str] | None:
    """Give what the command line changed in the config; None where there was none."""
    if not HydraConfig.initialized():
        return None
    # Unresolved: a path may hold what would be taken for a reference.
    overrides = OmegaConf.to_container(HydraConfig.get().overrides.task)
    return [str(each) for each in overrides or ()]


def override_config(
    config: Mapping[str, Any], overrides: Sequence[str], config_dir: Path
) -> dict[str, Any]:
    """Change a checkpoint's config: ``key=value``, or ``group=name`` with a file of that group.

    Args:
        config: plain dicts.
        overrides: as on the command line; groups count first, as Hydra has it.
        config_dir: where groups are looked up.

    Raises:
        UserError: if a key or a group's file does not exist.
    """
    changed = literal_config(config)
    OmegaConf.set_struct(changed, True)
    changes = [(text, *_change(text)) for text in _as_written(overrides)]
    for text, key, value in sorted(changes, key=lambda change: change[1] not in SECTIONS):
        if key in SECTIONS:
            OmegaConf.set_struct(changed, False)
            changed[key] = _load_group(config_dir, key, str(value))
            OmegaConf.set_struct(changed, True)
            continue
        known = _dotted_keys(OmegaConf.to_container(changed))
        if key not in known and of_any_dataset(key).startswith("data.classes."):
            raise UserError(f"there is no '{key}': give data.classes as a whole, or a classes file")
        if key not in known and not _is_newer(key, known, config_dir):
            raise UserError(f"unknown key '{key}'{_suggest_key(key, known)}")
        try:
            OmegaConf.update(changed, key, value, merge=False, force_add=True)
        except OmegaConfBaseException as error:
            raise UserError(f"cannot set {text}: {error}") from error
    try:
        return plain_config(changed)
    except OmegaConfBaseException as error:  # a reference to nothing
        raise explain(error, config_dir) from error


def _change(text: str) -> tuple[str, Any]:
    """Read the key and the value of an override."""
    try:
        override = OverridesParser.create().parse_override(text)
    except HydraException as error:
        raise UserError(_unreadable(text)) from error
    if override.is_sweep_override():
        raise UserError(_several_values(text))
    if override.type is not OverrideType.CHANGE:
        raise UserError(f"cannot use '{text}' here: write key=value")
    return override.key_or_group, override.value()


def _load_group(config_dir: Path, group: str, name: str) -> DictConfig:
    there = sorted(path.stem for path in (config_dir / group).glob("*.yaml"))
    if name not in there:
        raise UserError(
            f"there is no {group}={name}{suggest(name, there)} (known: {', '.join(there)})"
        )
    _prepare_hydra()
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(config_dir), version_base="1.3"):
            loaded = compose(overrides=[f"+{group}={name}"])[group]
    except (HydraException, OmegaConfBaseException) as error:
        raise explain(error, config_dir) from error
    if not isinstance(loaded, DictConfig):
        raise UserError(f"{config_dir / group / name}.yaml is no mapping")
    return loaded


def _dotted_keys(config: Any, prefix: str = "") -> list[str]:
    keys: list[str] = []
    for key, value in config.items():
        keys.append(f"{prefix}{key}")
        if isinstance(value, Mapping):
            keys += _dotted_keys(value, f"{prefix}{key}.")
    return keys


def _is_newer(key: str, known: Sequence[str], config_dir: Path) -> bool:
    """Tell whether a key has come since a config was written, or is of another dataset's.

    What nothing reads is refused where the section is used.
    """
    section = key.rpartition(".")[0]
    return section in known and of_any_dataset(key) in _keys_of_files(config_dir)


def _suggest_key(key: str, known: Sequence[str]) -> str:
    """Suggest whole keys, or the key that ends like a bare last part: ``root`` is data.root."""
    by_last_part = {dotted.rsplit(".", 1)[-1]: dotted for dotted in known}
    last_part = key.rsplit(".", 1)[-1]
    if last_part in by_last_part:
        return f"; did you mean '{by_last_part[last_part]}'?"
    return suggest(key, known)


def _keys_of_files(config_dir: Path) -> list[str]:
    """List the keys that any config file sets, with the group in front."""
    keys = [*SECTIONS, *entries()]
    for file in config_dir.rglob("*.yaml"):
        try:
            content = OmegaConf.to_container(OmegaConf.load(file))
        except (OSError, UnicodeDecodeError, yaml.YAMLError):
            continue  # another experiment's file: what is wrong with it is not asked here
        group = file.relative_to(config_dir).parts[0]
        if group == "classes":
            continue  # classes files
        if isinstance(content, dict):
            content.pop("defaults", None)
            keys += _dotted_keys(content, f"{group}." if group in SECTIONS else "")
    return list(dict.fromkeys(keys))


def _unknown_in_experiment(key: str, config_dir: Path) -> str:
    known = _keys_of_files(config_dir)
    if re.fullmatch(r"data\.datasets\.\w+", key):
        return f"unknown dataset '{key}': this experiment names its own (see them with --cfg job)"
    missing = f"this experiment has no '{key}' (see its keys with --cfg job)"
    if of_any_dataset(key).startswith("data.classes."):
        return f"{missing}; write it in the classes file, or, of classes in a config, +{key}=..."
    if readers := _methods_that_read(key):
        return (
            f"{missing}: only {', '.join(readers)} {'reads' if len(readers) == 1 else 'read'} it; "
            f"choose another model (a whole one: model=...), or with such a one add +{key}=..."
        )
    choice, _, option = key.rpartition(".")
    if key not in known and choice in known and choice not in SECTIONS:
        return f"{missing}: options stand beside the name: {choice}={{name: ..., {option}: ...}}"
    if key not in known:
        return f"unknown key '{key}'{_suggest_key(key, known)}"
    if key.removeprefix("data.") in _OF_SEVERAL_DATASETS:
        return f"{missing}; only several datasets at once have it (data=several)"
    if re.fullmatch(r"data\.\w+", key):
        return (
            f"{missing}; with several datasets each has its own: data.datasets.<name>."
            f"{key.removeprefix('data.')}"
        )
    return f"{missing}; where something reads it, add it with +{key}=..."


def _methods_that_read(key: str) -> list[str]:
    """List the methods that read a setting of the model which not all of them read."""
    section, _, name = key.partition(".")
    if section != "model":
        return []
    # Imported here, so that nothing else waits for Transformers.
    from transformers_update_for_adapters.methods import methods_that_read

    return methods_that_read(name)


def _unreadable(override: str) -> str:
    key, equals, value = override.partition("=")
    if not equals:
        return f"cannot read '{override}': write key=value"
    if value.startswith("{"):
        return (
            f"cannot read '{override}': write key=value; in a mapping each text needs quotes of "
            "its own, and not every text can stand before a ':'. Best write it in a config file"
        )
    if value.startswith("[") or key.endswith("tasks.classes"):
        inside = value.removeprefix("[").removesuffix("]")
        listed = quoted_list(f"[{inside}]") or "['one','two']"
        return (
            f"cannot read '{override}': write key=value; in a list each text needs quotes of its "
            f'own: "{key}={listed}"'
        )
    quoted_again = quoted(value) if value.strip() else "value"
    return (
        f"cannot read '{override}': write key=value; brackets, commas and the like in a value need "
        f'quotes of its own: "{key}={quoted_again}"'
    )


def _several_values(override: str) -> str:
    key, _, value = override.partition("=")
    return (
        f"several values at once: '{override}'. For a list, write '{key}=[{value}]'; train.py -m "
        f"trains once for each; a text with a comma needs quotes of its own: \"{key}='{value}'\""
    )


def explain(error: Exception, config_dir: Path) -> UserError:
    """Put Hydra's words into one message that suggests the nearest names."""
    cause = error.__cause__
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, name = error.missing_cfg_file.rpartition("/")
        there = error.options or experiment_names(config_dir)
        return UserError(
            f"there is no {group or 'config'}={name}{suggest(name, there)} "
            f"(known: {', '.join(there)})"
        )
    if isinstance(error, ConfigCompositionException) and isinstance(
        cause, ConfigAttributeError | ConfigKeyError
    ):
        return UserError(_unknown_in_experiment(str(cause.full_key), config_dir))
    if isinstance(error, ConfigCompositionException) and isinstance(cause, ConfigTypeError):
        return UserError(
            f"cannot set '{cause.full_key}': it is a list and a mapping was given, or the reverse "
            f"({str(error).splitlines()[0]}). Add tasks=all before tasks.classes, which takes both"
        )
    if isinstance(error, OverrideParseException):
        return UserError(_unreadable(str(error.override)))
    if str(error).startswith("Ambiguous value"):
        return UserError(_several_values(str(error).splitlines()[0].partition("'")[2][:-1]))
    lines = [line.strip() for each in (error, cause) for line in str(each or "").splitlines()]
    words = [line for line in lines if line] or [type(error).__name__]
    # The first line says where, and may leave what it is to the next.
    return UserError(" ".join(words[: 2 if words[0].endswith(":") else 1]))
