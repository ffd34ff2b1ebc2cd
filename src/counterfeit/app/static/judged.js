// Store the numbers as scores of the runs.
import { post } from "./post.js";

const button = document.getElementById("publish");
const said = document.getElementById("said");

button.addEventListener("click", async () => {
  button.disabled = true;
  try {
    said.textContent = (await post(button.dataset.path)).said;
  } catch (error) {
    said.textContent = error.message;
  }
  button.disabled = false;
});
