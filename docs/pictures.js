// Pictures of windows follow the theme: `chat.png` has a twin, `chat-dark.png`. One that has none stays as it is.
const root = document.documentElement;
const pictures = [...document.querySelectorAll('.content img[src^="pictures/"][src$=".png"]')];

function follow() {
  const isDark = ["coal", "navy", "ayu"].some((theme) => root.classList.contains(theme));
  for (const picture of pictures) {
    const light = (picture.dataset.light ??= picture.src);
    picture.onerror = () => {
      if (picture.src !== light) picture.src = light;
    };
    const wanted = isDark ? light.replace(/\.png$/, "-dark.png") : light;
    if (picture.src !== wanted) picture.src = wanted;
  }
}

follow();
new MutationObserver(follow).observe(root, { attributeFilter: ["class"] });
