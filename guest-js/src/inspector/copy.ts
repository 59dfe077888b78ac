import { element } from "./dom.js";

/** Puts a text on the clipboard, and says whether that went well. Where the page has no clipboard, by a selection in `near`. */
export async function copy(text: string, near: Element): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = element("textarea", { class: "hidden", "aria-hidden": "true" });
    area.value = text;
    const root = near.getRootNode() as ShadowRoot | Document;
    const focused = root.activeElement as HTMLElement | null;
    near.append(area);
    area.select();
    try {
      return document.execCommand("copy");
    } catch {
      return false;
    } finally {
      area.remove();
      focused?.focus();
    }
  }
}
