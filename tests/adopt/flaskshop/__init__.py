"""flask-shop itself, whose source FLASK_SHOP_SOURCE names, with image search attached: `make adopt`."""
