// How far the raters are, every few seconds while the page is seen.
const place = document.getElementById("progress");

async function look() {
  if (!document.hidden) {
    try {
      const answer = await fetch(place.dataset.path);
      if (answer.ok) place.innerHTML = await answer.text();
      document.body.classList.remove("lost");
    } catch {
      document.body.classList.add("lost");
    }
  }
  setTimeout(look, 3000);
}
setTimeout(look, 3000);
