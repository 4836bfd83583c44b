"""`python -m shoal_dashboard`."""

from shoal_programs import dashboard

if __name__ == "__main__":
    dashboard()
