"""How Shoal presents a run to people: beside the light client, which needs none of it, and built on its public names.

========  ==========================================================================
package   contents
========  ==========================================================================
views     a comparison as texts and plain values, for any page or terminal to show
drawing   points and centroids as SVG
report    a comparison as one HTML page
demo      `shoal demo`; needs ``pip install '.[demo]'``, the others numpy alone
========  ==========================================================================
"""
