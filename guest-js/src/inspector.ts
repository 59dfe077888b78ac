/**
 * A look into the app's watches, for development and support: {@link openInspector} opens it in a panel, `<watch-inspector>`
 * is the same as an element. Nothing of it is in what the package's main entry ships.
 *
 * @packageDocumentation
 */
export { defineInspector, WatchInspector } from "./inspector/element.js";
export { openInspector } from "./inspector/open.js";
