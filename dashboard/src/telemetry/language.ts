// Language: where the browser gives one that Intl refuses (`en-US@posix`, under LANG=C), uPlot would not load; it is told English.
try {
  new Intl.NumberFormat(navigator.language);
} catch {
  Object.defineProperty(navigator, "language", { value: "en-US", configurable: true });
}
