"""How good a model's answers are, measured before anybody sees them: by judgements, by a benchmark, or side by side."""
