"""One HTML file to look at a recorded run: `data` gathers and thins what it shows, `page` puts it into the template."""

from muon_theory.reporting.run_report.data import report_data
from muon_theory.reporting.run_report.page import report_page, write_report

__all__ = ["report_data", "report_page", "write_report"]
