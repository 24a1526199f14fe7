"use strict";
// Sets up the page: first the map and the curves of the selected cell, the other charts as they come into view.

offerThemes();
offerCopies();
chart("map", paintMap);
chart("cell", paintCell);
for (const name of ["map", "cell"]) {
  charts.get(name).seen = true;
  charts.get(name).paint();
}
offerMap();
offerPlayer();
offerScales(charts.get("cell").figure, cellLook, "cell");
chart("loss", paintLoss);
chart("compared", (plot, figure) => paintChart(plot, figure, run.charts.compared));
chart("rates", paintRates);
chart("effects", (plot, figure) => paintChart(plot, figure, run.charts.effects));
chart("fit", (plot, figure) => paintChart(plot, figure, run.fit));
chart("time", paintTime);
offerLoss();
if (charts.has("rates")) offerRates();
if (charts.has("time")) offerScales(charts.get("time").figure, timeLook, "time");
offerTable();
drawWhenSeen();
root.dataset.interactive = performance.now().toFixed(1);
