"""`python -m shoal_server`."""

from shoal_programs import server

if __name__ == "__main__":
    server()
