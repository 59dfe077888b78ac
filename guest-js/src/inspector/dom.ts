/** What an element gets: attributes by their names. No `style`: a strict policy would refuse it. */
type Attributes = Record<string, string | number | boolean | undefined>;

/** An element with attributes and children. Texts become text nodes: nothing of a server is ever read as HTML. */
export function element<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  give(made, attributes);
  made.append(...children);
  return made;
}

/** The same of a drawing. */
export function drawn<K extends keyof SVGElementTagNameMap>(
  tag: K,
  attributes: Attributes = {},
  ...children: Node[]
): SVGElementTagNameMap[K] {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  give(made, attributes);
  made.append(...children);
  return made;
}

/** A button that says what it does. */
export function button(label: string, onclick: () => void, attributes: Attributes = {}): HTMLButtonElement {
  const made = element("button", { type: "button", ...attributes }, label);
  made.addEventListener("click", onclick);
  return made;
}

function give(to: Element, attributes: Attributes): void {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) to.setAttribute(name, value === true ? "" : String(value));
  }
}

/** Changes a text only where it is another one: a selection stays, and nothing is painted anew. */
export function say(where: Element, text: string): void {
  if (where.textContent !== text) where.textContent = text;
}

/** Sets an attribute only where it is another one. */
export function mark(where: Element, name: string, value: string): void {
  if (where.getAttribute(name) !== value) where.setAttribute(name, value);
}
