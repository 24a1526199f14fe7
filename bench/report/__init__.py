"""The report of a run: page, Markdown, tables and figures."""
