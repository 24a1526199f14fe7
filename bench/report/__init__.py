"""From a run's folder to its report: page, Markdown, tables and figures."""
