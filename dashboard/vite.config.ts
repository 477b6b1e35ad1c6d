// Vite: builds the dashboard into dist/, which the control plane serves; everything but the page itself is under /assets.
import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

const platform = process.env.TSDEV_URL ?? "http://localhost:3200";

export default defineConfig({
  root: import.meta.dirname,
  plugins: [react()],
  build: {
    outDir: "dist",
    emptyOutDir: true,
    target: "es2023",
    // the control plane's content security policy allows no data: scripts or fonts
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 700,
  },
  server: { proxy: { "/api": { target: platform, changeOrigin: true } } },
});
