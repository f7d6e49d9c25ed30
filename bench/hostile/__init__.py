"""What strangers do to `imgsearch serve`, what it costs, and what honest customers notice of it."""
