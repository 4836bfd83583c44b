"""An alias of `shoal_presentation.views`: a comparison as texts and plain values."""

from shoal_presentation.views import *  # noqa: F403  (exactly the names in its __all__)
from shoal_presentation.views import __all__  # noqa: F401
