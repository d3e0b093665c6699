"""Putting the page together: its files, the network in two parts, and what runs it."""

import json
import shutil
from collections.abc import Collection, Sequence
from pathlib import Path

from seg_training.errors import UserError
from seg_training.export.exported_files import export_onnx_parts
from seg_training.export.onnx_files import description
from seg_training.files.atomic_writes import unfinished_folder
from seg_training.networks import Network
from seg_training.prediction.pictures_to_paint import find_pictures
from seg_training.results.overlays import distinct_colours

__all__ = ["build_page"]

_PAGE = Path(__file__).parent / "page"

# From npm: where a file is below node_modules, and what the page calls it.
_RUNTIME = {
    "onnxruntime-web/dist/ort.wasm.min.mjs": "ort.wasm.min.mjs",
    "onnxruntime-web/dist/ort-wasm-simd-threaded.mjs": "ort-wasm-simd-threaded.mjs",
    "onnxruntime-web/dist/ort-wasm-simd-threaded.wasm": "ort-wasm-simd-threaded.wasm",
    "fflate/esm/browser.js": "fflate.js",
}


def build_page(
    network: Network, folder: Path, node_modules: Path, examples: Sequence[str] = ()
) -> None:
    """Write a folder that any web server can give out as it is.

    Args:
        network: in evaluation mode, on the CPU; its crop size has multiples of 4.
        folder: a new one.
        node_modules: where ``npm ci`` put onnxruntime-web and fflate.
        examples: pictures to offer: files, folders or patterns. They are copied.

    Raises:
        UserError: if the folder holds something, if the packages of npm are not there, if the page
            cannot show pictures as the network was trained, or if something cannot be written.
    """
    if network.config.view != "squeeze":
        raise UserError(
            f"the network was trained with data.view={network.config.view}, but the page squeezes "
            "pictures to the crop size; use predict.py or scripts/web_app.py"
        )
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise UserError(f"{folder} holds something already; choose another --output")
    for name in _RUNTIME:
        if not (node_modules / name).is_file():
            raise UserError(
                f"{node_modules / name} is not there: run npm ci in the project's folder, or give "
                "the node_modules that has it by --node-modules"
            )
    pictures = _names_of_copies(find_pictures(examples) if examples else ())
    try:
        with unfinished_folder(folder) as unfinished:
            shutil.copytree(_PAGE, unfinished, dirs_exist_ok=True)
            (unfinished / "runtime").mkdir()
            for packaged, name in _RUNTIME.items():
                shutil.copyfile(node_modules / packaged, unfinished / "runtime" / name)
            for picture, name in pictures.items():
                copy = unfinished / "examples" / name
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(picture, copy)
            content = _model_json(network, list(pictures.values()))
            (unfinished / "model.json").write_text(content, encoding="utf-8")
            export_onnx_parts(network, unfinished / "network.onnx", network.crop_size)
            if folder.exists():
                folder.rmdir()
            unfinished.rename(folder)
    except OSError as error:
        raise UserError(f"cannot write {folder}: {error}; choose another --output") from error


def _names_of_copies(pictures: Collection[Path]) -> dict[Path, str]:
    """Keep pictures' own names, numbered where these do not tell them apart on every disk."""
    if len({picture.name.casefold() for picture in pictures}) == len(pictures):
        return {picture: picture.name for picture in pictures}
    return {picture: f"{number}_{picture.name}" for number, picture in enumerate(pictures, 1)}


def _model_json(network: Network, examples: Sequence[str]) -> str:
    """Describe the network for the page, as the ONNX files do, with colours and examples."""
    about = description(network)
    names, synonyms = about.pop("class_names"), about.pop("class_synonyms")
    content = {
        **about,
        "classes": [
            {"name": name, "synonyms": words, "colour": colour}
            for name, words, colour in zip(
                names, synonyms, distinct_colours(len(names)), strict=True
            )
        ],
        "examples": list(examples),
    }
    return json.dumps(content, ensure_ascii=False)
