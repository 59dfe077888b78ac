/** @jsxImportSource solid-js */
import { Key } from "@solid-primitives/keyed";
import { useWatchStore } from "tauri-plugin-contrail-sync-api/solid";
import { notes, time } from "../notes.js";

export function List() {
  const list = useWatchStore(notes);
  return (
    <ol data-status={list.status}>
      <Key each={list.records} by="uri">
        {(note) => (
          <li id={note().rkey}>
            <time>{time(note().time_us)}</time> {note().value.text}
          </li>
        )}
      </Key>
    </ol>
  );
}
