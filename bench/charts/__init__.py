"""The content of each chart: frame in, chart out. Nothing here draws.

`bench.plots` draws a chart with matplotlib, and the page of a report with Plotly.
"""
