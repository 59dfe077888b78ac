import { fileURLToPath } from "node:url";

const guest = (path) => fileURLToPath(new URL(`../../../guest-js/${path}`, import.meta.url));

/** Run from guest-js, whose tools and dependencies these are. */
export default {
  root: import.meta.dirname,
  base: "./",
  build: { target: "es2022", chunkSizeWarningLimit: 1000 },
  resolve: {
    alias: {
      "@tauri-apps/api": guest("node_modules/@tauri-apps/api"),
      "tauri-plugin-contrail-sync-api": guest("src/index.ts"),
    },
  },
};
