"""With which settings a result was made, where they are others than a cell's of now."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from seg_training.errors import UserError
from seg_training.known_settings import entries, of_any_dataset
from seg_training.settings import MISSING
from seg_training.tables.cell_runs import Run, Setting, is_evaluation, training_command
from seg_training.tables.collected_runs import Result

__all__ = ["check_alike", "told_unlike", "unlike_settings"]

# Where things lie, on which machine, and what is logged: a result is the same with others.
_OF_A_PLACE = frozenset(
    (
        *("run_dir", "ckpt_path", "data.root", "data.cache_dir", "model.recogniser"),
        *("config_name", "log_plot_freq", "logger", "logger.names", "logger.project"),
        *("data.num_workers", "data.eval_batch_size", "data.resized_cache_gib"),
        *(
            f"trainer.{name}"
            for name in (
                *("accelerator", "devices", "num_nodes", "strategy", "compile", "profiler"),
                *("activation_checkpointing", "benchmark", "deterministic"),
                *("checkpoint_every_n_steps", "log_every_n_steps", "num_sanity_val_steps"),
                "enable_progress_bar",
            )
        ),
    )
)


def unlike_settings(content: Mapping[str, Any], wanted: Sequence[str]) -> list[str]:
    """Name the settings that a result was made with and that are others in a command.

    Args:
        content: what ``results.json`` holds, or what ``eval.py --json`` wrote.
        wanted: the command's words; those that are no overrides are passed over.

    Returns:
        ``optimizer.lr=0.001, now 0.003`` of each. Of a result that does not say with which it was
        made, none: it is taken to have had the cell's own.
    """
    overrides = content.get("overrides")
    if not isinstance(overrides, list):
        return []
    before, now = _settings(map(str, overrides)), _settings(wanted)
    config = content.get("config")
    unlike = []
    for key in dict.fromkeys([*now, *before]):
        default = _default(key)
        was = before[key] if key in before else _value(key, config, default)
        is_now = now.get(key, default)
        if was != is_now:
            said = _text(is_now) if key in now else "left out"
            unlike.append(f"{key}={_text(was)}, now {said}")
    return unlike


def told_unlike(finished: Iterable[tuple[Run, Result]], setting: Setting) -> list[str]:
    """Say in sentences which results of a scale were made with other settings.

    Args:
        finished: runs with their results.
        setting: what is the same for all runs.
    """
    return [f"Not alike: {words}." for words in _unlike(finished, setting)]


def check_alike(finished: Iterable[tuple[Run, Result]], setting: Setting) -> None:
    """Refuse to take for finished what was trained with other settings.

    Args:
        finished: runs with their results; those that lie elsewhere than in their folders are kept
            ones, and are left alone.
        setting: what is the same for all runs.

    Raises:
        UserError: if there is such a run.
    """
    own = [(run, result) for run, result in finished if run.folder in result.file.parents]
    if unlike := _unlike(own, setting):
        others = f", and {len(unlike) - 1} more were" if len(unlike) > 1 else ""
        raise UserError(
            f"{unlike[0]}{others}; give another --output than {setting.output}, or the settings "
            "of before"
        )


def _unlike(finished: Iterable[tuple[Run, Result]], setting: Setting) -> list[str]:
    return [
        f"{run.title} was made with other settings ({'; '.join(changed)})"
        for run, result in finished
        if not is_evaluation(result.content)
        and (changed := unlike_settings(result.content, training_command(run, setting)))
    ]


def _settings(words: Iterable[str]) -> dict[str, Any]:
    """Read overrides; of one setting the last counts."""
    found: dict[str, Any] = {}
    parser = OverridesParser.create()
    for word in words:
        name, equals, value = word.partition("=")
        key = name.lstrip("+~")
        if not equals or of_any_dataset(key) in _OF_A_PLACE or key.startswith("hydra"):
            continue
        try:
            found[key] = parser.parse_override(f"key={value}").value()
        except HydraException:  # as paths are typed
            found[key] = value
    steps, interval = found.get("trainer.max_steps"), found.get("trainer.val_check_interval")
    if isinstance(steps, int) and isinstance(interval, int) and interval > steps > 0:
        found["trainer.val_check_interval"] = "beyond the end"
    return found


def _value(key: str, config: Any, default: Any) -> Any:
    """Say what a setting was that no override set; what there was not yet is as by default."""
    for name in key.split("."):
        if not isinstance(config, Mapping) or name not in config:
            return default
        config = config[name]
    return config


def _default(key: str) -> Any:
    own = entries().get(of_any_dataset(key))
    return None if own is None or own.default == MISSING else own.default


def _text(value: Any) -> str:
    return "null" if value is None else str(value)
