// Keep a part of a page up to date: fetch it every few seconds while the page is seen, and put in what has changed.
// Elements are told apart by their ids; one that is the same is left as it is, with its focus and pictures.
export function keepFresh(list, path, changed = () => {}, seconds = 2) {
  let tag = "";
  let timer;

  async function look() {
    clearTimeout(timer);
    if (document.hidden) return; // goes on when the page is seen again
    try {
      const answer = await fetch(path, { headers: tag ? { "If-None-Match": tag } : {}, cache: "no-store" });
      if (answer.ok) {
        tag = answer.headers.get("ETag") ?? "";
        replace(list, await answer.text(), changed);
      }
      document.body.classList.remove("lost");
    } catch {
      document.body.classList.add("lost"); // the server has ended, or the laptop slept
    }
    timer = setTimeout(look, seconds * 1000);
  }

  document.addEventListener("visibilitychange", look);
  timer = setTimeout(look, seconds * 1000);
  return look;
}

function replace(list, text, changed) {
  const made = document.createElement("ul");
  made.innerHTML = text;
  const focused = document.activeElement?.id;
  const now = [...made.children].map((item) => {
    const before = item.id && document.getElementById(item.id);
    if (before && before.outerHTML === item.outerHTML) return before;
    if (before && before.dataset.state !== item.dataset.state) changed(item);
    return item;
  });
  if (now.length !== list.children.length || now.some((item, place) => item !== list.children[place])) {
    list.replaceChildren(...now);
    if (focused && document.activeElement?.id !== focused) document.getElementById(focused)?.focus();
  }
}
