"""`crosstune push`: a model folder into a hub repository, private unless asked otherwise."""

from pathlib import Path

from huggingface_hub import HfApi

from crosstune.errors import BadInputError
from crosstune.models.folder import refuse_changed
from crosstune.terminal.output import console, heading, new_table, note


def push(model: Path, repository: str, public: bool, dry_run: bool) -> None:
    """Upload the files of a model folder; ``dry_run`` only shows what would go.

    Raises:
        BadInputError: when the folder is no model folder, lacks its card, or the hub refuses.
    """
    files = _files(model)
    visibility = "public" if public else "private"
    _show(files, model, f"{repository} ({visibility})")
    if dry_run:
        note("nothing was uploaded; remove --dry-run to upload")
        return
    api = HfApi()
    try:
        api.create_repo(repository, private=not public, exist_ok=True)
        if not public and not api.repo_info(repository).private:
            raise BadInputError(
                f"{repository} exists and is public, but the model should be private: give another name, or pass "
                f"--public"
            )
        done = api.upload_folder(repo_id=repository, folder_path=model, allow_patterns=[path.name for path in files])
    except BadInputError:
        raise
    except Exception as error:
        # Without a network the hub's client raises the errors of its HTTP library, which is another in every version.
        raise BadInputError(
            f"the hub rejected {model} as {repository}: {error}. Check the name (owner/name), and that you are logged "
            f"in with a write token: hf auth login"
        ) from error
    note(f"{done.commit_url}")


def _files(model: Path) -> list[Path]:
    """Return what goes: the files of the folder itself, weights, tokenizer, settings, card."""
    if not (model / "config.json").exists() or not list(model.glob("*.safetensors")):
        found = ", ".join(sorted(path.name for path in model.iterdir())) if model.is_dir() else "no folder"
        raise BadInputError(
            f"{model} is not a model folder: it needs config.json and *.safetensors; found: {found or 'nothing'}"
        )
    refuse_changed(model)
    if not (model / "README.md").exists():
        raise BadInputError(
            f"{model} has no model card (README.md): `crosstune report RECIPE` writes it into the model folders of "
            "a run; for other folders, write one that describes the model and its data"
        )
    return sorted(path for path in model.iterdir() if path.is_file() and not path.name.startswith("."))


def _show(files: list[Path], model: Path, where: str) -> None:
    heading(f"{model} -> {where}")
    table = new_table()
    table.add_column("file")
    table.add_column("bytes", justify="right")
    for path in files:
        table.add_row(path.name, f"{path.stat().st_size:,}")
    console.print(table)
