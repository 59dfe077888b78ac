import { defineInspector, NAME } from "./element.js";

/** The panel that is open, and what closes it. */
let open: { panel: HTMLElement; close: () => void } | undefined;

/**
 * Opens the inspector in a panel at the bottom of the page, and moves the keyboard there. If it is open already, that one
 * is meant. The window's capability must have `contrail-sync:allow-inspect`.
 *
 * @param where - what it is put in; the page's body by default
 * @returns a function that closes it, as Escape does; the keyboard goes back to where it was
 */
export function openInspector(where: ParentNode = document.body ?? document.documentElement): () => void {
  if (open?.panel.isConnected) {
    open.panel.focus();
    return open.close;
  }
  defineInspector();
  const before = document.activeElement;
  const panel = document.createElement(NAME);
  panel.setAttribute("docked", "");
  panel.setAttribute("closable", "");
  const close = () => {
    if (!panel.isConnected) return;
    panel.remove();
    if (open?.panel === panel) open = undefined;
    if (before instanceof HTMLElement) before.focus();
  };
  panel.addEventListener("close", close);
  where.append(panel);
  open = { panel, close };
  panel.focus();
  return close;
}
