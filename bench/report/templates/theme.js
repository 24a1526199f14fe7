"use strict";
// Light or dark, before anything is seen: what was chosen on an earlier page, or else what the system prefers.

const root = document.documentElement;
const darkness = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => root.dataset.theme === "dark";

// A page without storage, as there are, forgets.
function keptTheme(theme) {
  try {
    if (theme) localStorage.setItem("sgdbench-theme", theme);
    return localStorage.getItem("sgdbench-theme");
  } catch {
    return null;
  }
}

root.dataset.theme = keptTheme() ?? (darkness.matches ? "dark" : "light");
