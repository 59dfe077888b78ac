// Writes api-iife.js, which Tauri runs in each page of an app with `withGlobalTauri`: the package as
// `window.__TAURI__.contrailSync`, for pages without a bundler. It takes Tauri's own API from there, too.
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "vite";

const globals = {
  "@tauri-apps/api/core": "window.__TAURI__.core",
  "@tauri-apps/api/event": "window.__TAURI__.event",
};

const [{ output }] = await build({
  configFile: false,
  logLevel: "warn",
  root: fromHere(".."),
  build: {
    write: false,
    target: "es2020",
    lib: { entry: fromHere("../dist-js/index.js"), formats: ["iife"], name: "api" },
    rolldownOptions: { external: Object.keys(globals), output: { globals } },
  },
});
const code = output[0].code.trim();

// What is no longer a script with this one variable would leave others in the pages of apps.
if (!code.startsWith("var api=")) throw new Error(`cannot be wrapped: ${code.slice(0, 80)}`);
writeFileSync(
  fromHere("../../api-iife.js"),
  `// Made by \`npm run iife\` in guest-js. Do not edit.
if ("__TAURI__" in window) {
  (() => {
${code}
Object.defineProperty(window.__TAURI__, "contrailSync", { value: api });
  })();
}
`,
);

function fromHere(path) {
  return fileURLToPath(new URL(path, import.meta.url));
}
