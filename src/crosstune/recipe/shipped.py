"""The recipes and studies that come with crosstune: found by name in any folder, installed or in a source tree."""

from pathlib import Path

from crosstune.errors import RecipeError

# A wheel carries them inside the package, a source tree at its root.
_INSTALLED = Path(__file__).parents[1] / "recipes"
_SOURCE_TREE = Path(__file__).parents[3] / "recipes"
_STUDIES = "ablations"
# Launch files are neither recipes nor studies.
_OTHERS = (_STUDIES, "launch")


def _folder() -> Path:
    return _INSTALLED if _INSTALLED.is_dir() else _SOURCE_TREE


def recipes() -> dict[str, Path]:
    """Return the files of all shipped recipes by name: ``miniature``, ``llama2_7b_korean/paper``."""
    folder = _folder()
    paths = sorted(folder.rglob("*.yaml"))
    found = {path.relative_to(folder).with_suffix("").as_posix().removesuffix("/recipe"): path for path in paths}
    return {name: path for name, path in found.items() if name.partition("/")[0] not in _OTHERS}


def studies() -> dict[str, Path]:
    """Return the files of all shipped studies by name: ``ablations/mixtures``."""
    paths = sorted((_folder() / _STUDIES).rglob("*.yaml"))
    return {path.relative_to(_folder()).with_suffix("").as_posix(): path for path in paths}


def find(path: Path) -> Path:
    """Return a recipe file as it was given, or the shipped recipe of that name where there is no such file."""
    return path if path.exists() else recipes().get(_name(path).removesuffix("/recipe"), path)


def find_study(path: Path) -> Path:
    """Return a study file or a folder of them as it was given, or the shipped one of that name where there is none."""
    known = studies()
    folders = {path.parent.relative_to(_folder()).as_posix(): path.parent for path in known.values()}
    return path if path.exists() else {**folders, **known}.get(_name(path), path)


def _name(path: Path) -> str:
    return path.as_posix().removesuffix(".yaml").removeprefix("recipes/")


def copy(name: str, folder: Path) -> list[Path]:
    """Copy a shipped recipe or study, and the recipes that it is based on, into a folder; return what was written.

    Raises:
        RecipeError: when there is no such recipe, or a file of its name is there already.
    """
    # Imported here: YAML takes longer to load than all of --help.
    from crosstune.recipe.yaml_file import bases_of

    known = {**recipes(), **studies()}
    source = known.get(name.removesuffix(".yaml"))
    if source is None:
        raise RecipeError(f"{name!r} is not a recipe included with crosstune. Choose one of: {', '.join(known)}.")
    # A study names its recipe by the way there: both keep their places.
    root = _folder() if source in studies().values() else None
    needed = [source, *bases_of(source)]
    copies = {one: folder / (one.relative_to(root) if root else one.name) for one in needed}
    there = [target for target in copies.values() if target.exists()]
    if there:
        raise RecipeError(f"{there[0]} already exists and is not replaced: move it, or give another folder.")
    for original, target in copies.items():
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(original.read_text(encoding="utf-8"), encoding="utf-8")
    return list(copies.values())
