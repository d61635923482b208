"""The recipe modules, one per task. `Recipe` is the list of tasks."""

from attnkit.recipes.translation import TranslationRecipe

Recipe = TranslationRecipe
"""Will be a union, told apart by `task`, once there are more tasks."""
