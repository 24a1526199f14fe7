"use strict";
// Sets up the page: first the map and the curves of the selected cell, the other charts as they come into view.

chart("map", paintMap);
chart("cell", paintCell);
for (const name of ["map", "cell"]) paintFirst(charts.get(name));
offerMap();
offerPlayer();
offerScales("cell", cellLook);
chart("loss", paintLoss);
chart("compared", (plot, figure) => paintChart(plot, figure, run.charts.compared));
chart("rates", paintRates);
chart("effects", (plot, figure) => paintChart(plot, figure, run.charts.effects));
chart("fit", (plot, figure) => paintChart(plot, figure, run.fit));
chart("time", paintTime);
offerLoss();
if (charts.has("rates")) offerRates();
if (charts.has("time")) offerScales("time", timeLook);
offerTable();
drawWhenSeen();
