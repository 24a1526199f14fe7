"use strict";
// The chart of time and final loss, one point for each configuration.

const timeLook = { x: true, y: true };

const paintTime = (plot, figure) => paintOptimizers(plot, figure, run.charts.time, timeLook, "dot");
