import { useWatchStore } from "tauri-plugin-contrail-sync-api/react";
import { notes, time } from "../notes.js";

export function List() {
  const { records, status } = useWatchStore(notes);
  return (
    <ol data-status={status}>
      {records.map((note) => (
        <li key={note.uri} id={note.rkey}>
          <time>{time(note.time_us)}</time> {note.value.text}
        </li>
      ))}
    </ol>
  );
}
