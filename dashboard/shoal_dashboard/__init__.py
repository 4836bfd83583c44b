"""The dashboard: an ordinary client of a Shoal server, as a web page."""
