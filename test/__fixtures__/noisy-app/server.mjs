// A noisy app: it prints the text that a request sends.
import { createServer } from "node:http";

createServer((request, response) => {
  let text = "";
  request.on("data", (chunk) => (text += chunk));
  request.on("end", () => {
    if (text) console.log(text);
    response.end("heard\n");
  });
}).listen(process.env.PORT, () => console.log("listening"));
