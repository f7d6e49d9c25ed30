"""Image search for Wagtail: an app of the site, no fork."""
