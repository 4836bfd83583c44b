"""An alias of `shoal_presentation.views`: a comparison as texts and plain values."""

from shoal_presentation.views import *  # noqa: F403  (exactly the names in its __all__)
from shoal_presentation.views import __all__ as _names
from shoal_presentation.views import key_facts_of

snapshot_of = key_facts_of

__all__ = [*_names, "snapshot_of"]  # noqa: PLE0604  (a list of names)
