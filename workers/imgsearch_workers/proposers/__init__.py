"""Which parts of a picture may be meant: proposers answer boxes (x, y, w, h) in shares of its sides."""
