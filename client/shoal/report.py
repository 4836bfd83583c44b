"""An alias of `shoal_presentation.report`: a comparison as one HTML page."""

from shoal_presentation.report import *  # noqa: F403  (exactly the names in its __all__)
from shoal_presentation.report import __all__  # noqa: F401
