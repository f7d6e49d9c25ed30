"""A second look at the first of an answer: steps that rank it anew, in child processes that may be killed."""
