// Buttons that post: <button data-post="/stop" data-run="ID">. What the app says goes to the element #news.
import { post } from "./post.js";

export function posting(root, done = () => {}) {
  root.addEventListener("click", async (event) => {
    const button = event.target.closest("button[data-post]");
    if (!button) return;
    button.disabled = true;
    try {
      await post(button.dataset.post, { run: button.dataset.run });
    } catch (error) {
      say(error.message);
    }
    button.disabled = false;
    done();
  });
}

export function say(words) {
  const news = document.getElementById("news");
  news.textContent = words;
  news.classList.toggle("visually-hidden", !words);
}
