export {};

declare global {
  interface Window {
    __TAURI__: { contrailSync: typeof import("tauri-plugin-contrail-sync-api") };
  }
}
