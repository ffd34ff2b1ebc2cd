// The form that sets up a test.
import { post } from "./post.js";

const form = document.getElementById("new");
const [fault, busy, length] = ["fault", "busy", "length"].map((id) => document.getElementById(id));
const chosen = () => [...form.querySelectorAll("[name=runs]:checked")].map((one) => one.value);

form?.addEventListener("input", tell);
if (form) tell();

function tell() {
  const judged = 2 * Math.max(1, chosen().length) * Number(form.elements.fakes.value);
  const all = judged + Math.max(8, Math.round(judged / 20)) + Math.max(2, Math.round(judged / 20));
  length.textContent = Number.isFinite(all) && all > 10 ? `${all} images in all, about ${Math.ceil(all / 20)} minutes` : "";
}

form?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = form.querySelector("button[type=submit]");
  button.disabled = true;
  fault.textContent = "";
  busy.textContent = "The runs draw their images…";
  try {
    const { code } = await post("/judge/start", { ...Object.fromEntries(new FormData(form)), runs: chosen() });
    location.href = `/judge/of/${code}`;
  } catch (error) {
    fault.textContent = error.message;
    button.disabled = false;
    busy.textContent = "";
  }
});
