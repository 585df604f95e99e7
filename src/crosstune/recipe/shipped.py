"""The recipes that come with crosstune: found by name in any folder, whether it is installed or a source tree."""

from pathlib import Path

from crosstune.errors import RecipeError

# A wheel carries them inside the package, a source tree at its root.
_INSTALLED = Path(__file__).parents[1] / "recipes"
_SOURCE_TREE = Path(__file__).parents[3] / "recipes"
# Studies and launch files, which are no recipes.
_OTHERS = ("ablations", "launch")


def recipes() -> dict[str, Path]:
    """Return the files of all shipped recipes by name: ``miniature``, ``llama2_7b_korean/paper``."""
    folder = _INSTALLED if _INSTALLED.is_dir() else _SOURCE_TREE
    paths = sorted(folder.rglob("*.yaml"))
    found = {path.relative_to(folder).with_suffix("").as_posix().removesuffix("/recipe"): path for path in paths}
    return {name: path for name, path in found.items() if name.partition("/")[0] not in _OTHERS}


def find(path: Path) -> Path:
    """Return a recipe file as it was given, or the shipped recipe of that name where there is no such file."""
    if path.exists():
        return path
    return recipes().get(path.as_posix().removesuffix(".yaml").removeprefix("recipes/").removesuffix("/recipe"), path)


def copy(name: str, folder: Path) -> list[Path]:
    """Copy a shipped recipe, and the one that it is based on, into a folder; return what was written.

    Raises:
        RecipeError: when there is no such recipe, or a file of its name is there already.
    """
    # Imported here: YAML takes longer to load than all of --help.
    from crosstune.recipe.yaml_file import base_of

    source = recipes().get(name.removesuffix(".yaml"))
    if source is None:
        raise RecipeError(f"{name!r} is not a recipe included with crosstune. Choose one of: {', '.join(recipes())}.")
    base = base_of(source)
    copies = {one: folder / one.name for one in ([source, base] if base else [source])}
    there = [target for target in copies.values() if target.exists()]
    if there:
        raise RecipeError(f"{there[0]} already exists and is not replaced: move it, or give another folder.")
    folder.mkdir(parents=True, exist_ok=True)
    for original, target in copies.items():
        target.write_text(original.read_text(encoding="utf-8"), encoding="utf-8")
    return list(copies.values())
