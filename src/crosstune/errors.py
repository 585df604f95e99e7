"""The errors that a user can cause. Each message says what was asked, what was found, what is allowed, what to do."""


class CrosstuneError(ValueError):
    """A mistake in what the user gave: shown as a message, without a traceback."""


class RecipeError(CrosstuneError):
    """A recipe that cannot be read or does not hold together."""


class BadInputError(CrosstuneError):
    """A file that is not what the recipe says."""


class RunFolderError(CrosstuneError):
    """A run folder that belongs to another recipe, or lacks what an earlier stage should have written."""
