"""`python -m shoal.cli`, for when the command isn't on the path."""

from shoal.cli import main

if __name__ == "__main__":
    main()
