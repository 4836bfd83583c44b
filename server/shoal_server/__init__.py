"""The Shoal server: named clustering sessions behind gRPC. app.py builds it; docs/contributor.md shows its rooms."""
