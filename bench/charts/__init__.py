"""The content of each chart: frame in, chart out. Nothing here draws.

`sgdbench.plots` draws a chart with matplotlib, and the page of a report with Plotly.
"""
