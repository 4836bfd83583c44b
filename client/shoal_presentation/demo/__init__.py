"""`shoal demo`: a photograph clustered live by three engines, and a report of the results.

Needs the server's packages and matplotlib: ``pip install 'shoal[demo]'``.
"""
