// An app that dies while it starts.
console.log("reading the configuration");
setTimeout(() => {
  console.error("Error: no DATABASE_URL");
  process.exit(9);
}, 50);
