// Right: two independent calls at once.
import { original, serve, tell } from "../serve.ts";

await serve({
  ...original,
  announce: (partner) => Promise.all([tell(partner, "/mail"), tell(partner, "/event")]),
});
