import "@fontsource-variable/inter";
import "./page.css";

/** Where the list goes. Beside it the page shows the list's source. */
export function page(source: string): HTMLElement {
  const parts = source.trim().split(/(?=useWatchStore\()|(?<=useWatchStore\(notes\))/);
  document.querySelector("pre")!.append(...parts.map((part) => (part.startsWith("use") ? bold(part) : part)));
  return document.querySelector("main")!;
}

function bold(text: string): HTMLElement {
  const element = document.createElement("b");
  element.textContent = text;
  return element;
}
