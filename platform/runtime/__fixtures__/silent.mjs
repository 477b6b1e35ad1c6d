// An app that runs and never listens.
console.log("working");
setInterval(() => {}, 1000);
