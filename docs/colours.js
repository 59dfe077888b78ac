// mdBook's highlighter knows neither tsx nor svelte nor vue: they are coloured as what they mostly are.
for (const [language, like] of Object.entries({ tsx: "typescript", svelte: "xml", vue: "xml" })) {
  for (const block of document.querySelectorAll(`code.language-${language}`)) {
    block.innerHTML = hljs.highlight(like, block.textContent).value;
  }
}
