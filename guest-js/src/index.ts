/**
 * Live queries for Tauri apps: {@link createWatchStore} mirrors the record stores that
 * `tauri-plugin-contrail-sync` keeps in Rust.
 *
 * @packageDocumentation
 */
export { cacheInfo, clearCache, createSqliteCache, onCacheWarning } from "./cache.js";
export { WatchError, type WatchErrorKind } from "./error.js";
export { clearTickets, deleteSecret, setSecret } from "./secrets.js";
export { createWatchStore } from "./store.js";
export { discardWrites, nextTid, pendingWrites, watchWrites } from "./writes.js";
export type {
  CacheAdapter,
  Logger,
  MintTicket,
  OptimisticRecord,
  Profile,
  Profiles,
  Snapshot,
  SortOptions,
  WatchFilter,
  WatchRecord,
  WatchStore,
  WatchStoreOptions,
} from "./types.js";
export type { NewRecord, PendingWrite, Sender, SendOutcome, SentWrite, Whose, Write } from "./writing.js";
export type { WriteAction, WriteFailure, WriteState } from "./wire-writes.js";
export type { CacheInfo } from "./bindings/CacheInfo.js";
export type { CacheWarning } from "./bindings/CacheWarning.js";
export type { ErrorKind } from "./bindings/ErrorKind.js";
export type { SortDirection } from "./bindings/SortDirection.js";
export type { Status } from "./bindings/Status.js";
export type { Transport } from "./bindings/Transport.js";
export type { WarningKind } from "./bindings/WarningKind.js";
