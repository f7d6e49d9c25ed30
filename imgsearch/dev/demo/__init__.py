"""What does the demo shop sell, and what do its pictures look like?"""
