"""Configs: composed by Hydra, used and saved as plain dicts."""

import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
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

from seg_training.errors import UserError, suggest
from seg_training.settings import check_keys
from seg_training.standard_streams import forgiving_streams, printing_problem
from seg_training.written_configs import override_as_written, take_classes_as_written

__all__ = [
    "SECTIONS",
    "compose_config",
    "explain",
    "literal_config",
    "override_config",
    "plain_config",
    "run_shell",
    "translate_config_argument",
]

SECTIONS = ("model", "tasks", "data", "optimizer", "trainer", "logger")
"""The groups of a config; each is a mapping."""

_DEFAULTS = {
    "config_name": "experiment",
    "seed": 0,
    "ckpt_path": None,
    "run_dir": None,
    "log_plot_freq": 1000,
    "metrics": "biou",
    "unsure_is_miss": False,
}
_TOP_LEVEL = (*SECTIONS, *_DEFAULTS)


_INTERRUPTED = 130  # as shells have it: 128 and the number of SIGINT


def experiment_names(config_dir: Path) -> list[str]:
    """List the experiment files."""
    return sorted(file.name for file in config_dir.glob("*.yaml"))


def translate_config_argument(arguments: Sequence[str], config_dir: Path) -> list[str]:
    """Turn ``--config FILE`` into Hydra's own options, so that all of those keep working.

    Names of classes in overrides get quotes, see :func:`override_as_written`.

    Args:
        arguments: the command line, without the program.
        config_dir: where experiment files are; a path to another folder's file works as well.

    Raises:
        UserError: if the file does not exist, or if none was named.
    """
    take_classes_as_written()
    translated: list[str] = []
    rest = iter(arguments)
    named = False
    for argument in rest:
        option, equals, value = argument.partition("=")
        if option in ("--config-name", "-cn", "--help", "-h", "--hydra-help", "--version"):
            named = True
        if option != "--config":
            option_of_hydra = argument.startswith("-")
            translated.append(argument if option_of_hydra else override_as_written(argument))
            continue
        file = Path(value if equals else next(rest, ""))
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
            hint = suggest(file.name, experiment_names(config_dir))
            raise UserError(f"config {file} does not exist{hint} (known: {_listed(config_dir)})")
        translated += [*folder, "--config-name", file.name.removesuffix(".yaml")]
    if not named:
        raise UserError(f"which experiment? Add --config FILE (known: {_listed(config_dir)})")
    return translated


def _listed(config_dir: Path) -> str:
    return ", ".join(experiment_names(config_dir))


def compose_config(
    name: str, overrides: Sequence[str] = (), config_dir: Path | None = None
) -> dict[str, Any]:
    """Compose an experiment in Python, as the command line does.

    Args:
        name: the experiment's file, with or without ``.yaml``.
        overrides: ``key=value``, as on the command line.
        config_dir: the folder of the configs; ``configs`` in the current folder by default.

    Raises:
        UserError: if a file, group or key does not exist.
    """
    folder = (config_dir or Path("configs")).absolute()
    name = name.removesuffix(".yaml")
    if not (folder / f"{name}.yaml").is_file():
        hint = suggest(f"{name}.yaml", experiment_names(folder))
        raise UserError(f"config {folder / name}.yaml does not exist{hint}")
    take_classes_as_written()
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(folder), version_base="1.3"):
            composed = compose(name, [override_as_written(override) for override in overrides])
            return {**plain_config(composed), "config_name": name}
    except (HydraException, OmegaConfBaseException) as error:
        raise explain(error, folder) from error


def plain_config(config: DictConfig | Mapping[str, Any]) -> dict[str, Any]:
    """Resolve a config to plain dicts and lists, and check its top level.

    Raises:
        UserError: if a section is unknown or missing.
    """
    if isinstance(config, DictConfig):
        plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=False)
    else:
        plain = dict(config)
    if not isinstance(plain, dict):
        raise UserError("a config is a mapping of sections")
    check_keys({str(key): value for key, value in plain.items()}, _TOP_LEVEL, "")
    for section in SECTIONS:
        if not isinstance(plain.get(section), dict):
            raise UserError(
                f"the config has no section '{section}' (it needs {', '.join(SECTIONS)})"
            )
    seed = plain.get("seed", 0)
    if not isinstance(seed, int) or not 0 <= seed < 2**32:
        raise UserError(f"seed={seed!r}: expected a whole number from 0 to {2**32 - 1}")
    return {**_DEFAULTS, **{str(key): value for key, value in plain.items()}}


def literal_config(config: Mapping[str, Any]) -> DictConfig:
    """Make plain values a config of OmegaConf that resolves to just these values.

    Args:
        config: plain dicts; a class of it may be called ``${void}``, which refers to nothing.
    """

    def literal(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {key: literal(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [literal(item) for item in value]
        if isinstance(value, str):
            return re.sub(r"(\\*)\$\{", r"\1\1\\${", value)
        return value

    made: DictConfig = OmegaConf.create(literal(config))
    return made


def override_config(
    config: Mapping[str, Any], overrides: Sequence[str], config_dir: Path
) -> dict[str, Any]:
    """Change a checkpoint's config: ``key=value``, or ``group=name`` with a file of that group.

    Args:
        config: plain dicts.
        overrides: as on the command line.
        config_dir: where groups are looked up.

    Raises:
        UserError: if a key or a group's file does not exist.
    """
    changed = literal_config(config)
    OmegaConf.set_struct(changed, True)
    for text in overrides:
        try:
            override = OverridesParser.create().parse_override(override_as_written(text))
        except HydraException as error:
            raise UserError(f"cannot read '{text}': write key=value") from error
        if override.type is not OverrideType.CHANGE:
            raise UserError(f"cannot use '{text}' here: write key=value")
        key, value = override.key_or_group, override.value()
        if key in SECTIONS:
            OmegaConf.set_struct(changed, False)
            changed[key] = _load_group(config_dir, key, str(value))
            OmegaConf.set_struct(changed, True)
            continue
        known = _dotted_keys(OmegaConf.to_container(changed))
        if key not in known:
            raise UserError(f"unknown key '{key}'{_suggest_key(key, known)}")
        try:
            OmegaConf.update(changed, key, value, merge=False, force_add=True)
        except OmegaConfBaseException as error:
            raise UserError(f"cannot set {text}: {error}") from error
    return plain_config(changed)


def _load_group(config_dir: Path, group: str, name: str) -> DictConfig:
    there = sorted(path.stem for path in (config_dir / group).glob("*.yaml"))
    if name not in there:
        raise UserError(
            f"there is no {group}={name}{suggest(name, there)} (known: {', '.join(there)})"
        )
    take_classes_as_written()
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


def _suggest_key(key: str, known: Sequence[str]) -> str:
    """Suggest whole keys, or the key that ends like a bare last part: ``root`` is data.root."""
    by_last_part = {dotted.rsplit(".", 1)[-1]: dotted for dotted in known}
    last_part = key.rsplit(".", 1)[-1]
    if last_part in by_last_part:
        return f"; did you mean '{by_last_part[last_part]}'?"
    return suggest(key, known)


def _keys_of_files(config_dir: Path) -> list[str]:
    """List the keys that any config file sets, with the group in front."""
    keys = list(_TOP_LEVEL)
    for file in config_dir.rglob("*.yaml"):
        try:
            content = OmegaConf.to_container(OmegaConf.load(file))
        except (OSError, UnicodeDecodeError, yaml.YAMLError):
            continue  # another experiment's file: what is wrong with it is not asked here
        group = file.relative_to(config_dir).parts[0]
        if isinstance(content, dict):
            content.pop("defaults", None)
            keys += _dotted_keys(content, f"{group}." if group in SECTIONS else "")
    return list(dict.fromkeys(keys))


def _unknown_in_experiment(key: str, config_dir: Path) -> str:
    known = _keys_of_files(config_dir)
    if re.fullmatch(r"data\.datasets\.\w+", key):
        return f"unknown dataset '{key}': this experiment names its own (see them with --cfg job)"
    if key not in known:
        return f"unknown key '{key}'{_suggest_key(key, known)}"
    return (
        f"this experiment has no '{key}' (see its keys with --cfg job); with several datasets each "
        f"has its own: data.datasets.<name>.{key.rpartition('.')[2]}"
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
        return UserError(f"cannot read '{error.override}': write key=value, quoted for the shell")
    return UserError(str(error).splitlines()[0] if str(error) else type(error).__name__)


def run_shell(main: Callable[[], None], config_dir: Path) -> None:
    """Run a command: a user's error is one message and exit code 1, a fault keeps its traceback.

    Args:
        main: the command; may be one of Hydra's.
        config_dir: where names for suggestions are looked up.
    """
    os.environ["HYDRA_FULL_ERROR"] = "1"  # let Hydra raise rather than print
    if "OMP_WAIT_POLICY" not in os.environ:
        # PyTorch's idle CPU threads would spin for milliseconds on the cores that the loaders'
        # processes need; without spinning each operation would have to wake them.
        os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    forgiving_streams()
    try:
        main()
        if problem := printing_problem():
            raise UserError(f"not all that was said could be printed: {problem}")
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(_INTERRUPTED)
    except UserError as error:
        # What a worker of a loader raises comes with its traceback in front.
        sys.exit(f"error: {str(error).rsplit('UserError: ', 1)[-1].strip()}")
    except (HydraException, OmegaConfBaseException) as error:
        sys.exit(f"error: {explain(error, config_dir)}")
