// What the platform cannot detect about the shop.
import { defineConfig } from "@tsdev/sdk";

export default defineConfig({
  name: "shop",
  database: "postgres",
  health: "/readyz",
});
