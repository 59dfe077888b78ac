import { createWatchStore, type Snapshot } from "tauri-plugin-contrail-sync-api";

interface MessageBody {
  text: string;
}
declare const spaceUri: string;
declare const did: string;
declare function show(snapshot: Snapshot<MessageBody>): void;
