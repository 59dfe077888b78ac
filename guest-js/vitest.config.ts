import { svelte } from "@sveltejs/vite-plugin-svelte";
import solid from "vite-plugin-solid";
import { defineConfig } from "vitest/config";

/** The frameworks as they are in a page or on a server: each has a build for either. */
const frameworks = (ssr: boolean) => [
  svelte({ configFile: false }),
  solid({ include: "src/**/solid*.tsx", ssr, hot: false }),
];

/** Node would choose the build for servers. */
const inline = [/solid-js/, /svelte/];

export default defineConfig({
  test: {
    projects: [
      {
        plugins: frameworks(false),
        test: {
          name: "page",
          environment: "happy-dom",
          restoreMocks: true,
          include: ["src/**/*.test.{ts,tsx}"],
          exclude: ["src/**/*.server.test.*"],
          server: { deps: { inline } },
        },
      },
      {
        plugins: frameworks(true),
        test: {
          name: "server",
          environment: "node",
          restoreMocks: true,
          include: ["src/**/*.server.test.{ts,tsx}"],
        },
      },
    ],
  },
});
