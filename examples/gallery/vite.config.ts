import { svelte } from "@sveltejs/vite-plugin-svelte";
import vue from "@vitejs/plugin-vue";
import { defineConfig } from "vite";
import solid from "vite-plugin-solid";

export default defineConfig({
  plugins: [svelte(), vue(), solid({ include: "src/solid/*.tsx" })],
  // The guest package is linked from this repository and brings its own copies.
  resolve: { dedupe: ["@tauri-apps/api", "react", "solid-js", "svelte", "vue"] },
  build: { rolldownOptions: { input: ["react.html", "svelte.html", "vue.html", "solid.html"] } },
  server: { port: 1430, strictPort: true },
  clearScreen: false,
});
