import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vite";

export default defineConfig({
  plugins: [svelte()],
  // The guest package is linked from this repository and brings its own copy.
  resolve: { dedupe: ["@tauri-apps/api"] },
  server: { port: 1420, strictPort: true },
  clearScreen: false,
});
