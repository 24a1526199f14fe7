"""What each chart shows: frame in, chart out. Nothing here draws.

`bench.plots` draws a chart with matplotlib, and the page of a report with Plotly.
"""
