"""`shoal demo`: a photograph clustered in one pass, beside an offline fit, and a report of the results.

Needs the server's packages and matplotlib: ``pip install '.[demo]'``.
"""
