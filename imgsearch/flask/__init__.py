"""Flask: the page and the HTTP API as a blueprint, mountable in your app or served alone.

images = ImageSearch()          # nothing is read or opened yet

def create_app() -> Flask:
    app = Flask(__name__)
    images.init_app(app)        # app.config["IMGSEARCH_…"], else the environment
    return app
"""

from imgsearch.flask.extension import ImageSearch, create_app
from imgsearch.http.identity import Identity

__all__ = ["Identity", "ImageSearch", "create_app"]
