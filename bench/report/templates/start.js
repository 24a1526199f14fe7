"use strict";
// Inflates the charting library, the scripts and the data of the page, which are one gzip file in it, and runs them.

async function start() {
  const packed = atob(document.getElementById("packed").textContent);
  const bytes = Uint8Array.from(packed, (sign) => sign.charCodeAt(0));
  const inflated = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const { scripts, data } = await new Response(inflated).json();
  globalThis.run = data;
  for (const textContent of scripts) document.body.append(Object.assign(document.createElement("script"), { textContent }));
}

start().catch((error) => {
  document.querySelector(".charts-fail").hidden = false;
  throw error;
});
