"""The search page for people at a browser: templates, static files and what they show."""
