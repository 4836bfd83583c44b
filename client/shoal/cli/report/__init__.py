"""`shoal compare --report`: one HTML file with every view of a comparison. It needs no network and no script."""

from shoal.cli.report.page import check_place, report_page, write_report

__all__ = ["check_place", "report_page", "write_report"]
