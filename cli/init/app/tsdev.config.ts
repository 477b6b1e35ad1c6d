// What tsdev cannot detect about this app.
import { defineConfig } from "@tsdev/sdk/config";

export default defineConfig({
  health: "/readyz",
});
