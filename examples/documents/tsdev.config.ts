// What the platform cannot detect about this app.
import { defineConfig } from "@tsdev/sdk/config";

export default defineConfig({
  name: "documents",
  database: "postgres",
  health: "/readyz",
});
