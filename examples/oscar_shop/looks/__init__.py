"""The app that adds image search to Oscar: a migration, a queryset and a view. Nothing of Oscar is forked."""
