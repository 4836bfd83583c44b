"""`python -m shoal.cli`, for when the command isn't on the path."""

from shoal_programs import shoal

if __name__ == "__main__":
    shoal()
