"use strict";
// What is done when the page is there: first the map and the chosen curves, the rest as it comes into view.

offerThemes();
offerCopies();
chart("map", paintMap);
chart("cell", paintCell);
for (const name of ["map", "cell"]) {
  charts.get(name).seen = true;
  charts.get(name).paint();
}
offerMap();
chart("loss", paintLoss);
chart("rates", paintRates);
if (fit) chart("fit", paintFit);
chart("time", paintTime);
offerLoss();
offerRates();
offerFit();
offerTime();
offerTable();
drawWhenSeen();
root.dataset.interactive = performance.now().toFixed(1);
