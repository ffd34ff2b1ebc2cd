// Post a JSON object to the app; what it answers, as an object. An Error with the app's words if it refuses.
export async function post(path, values = {}) {
  const answer = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(values),
  });
  const text = await answer.text();
  let found;
  try {
    found = JSON.parse(text);
  } catch {
    found = { error: text };
  }
  if (!answer.ok) throw Object.assign(new Error(found.error ?? answer.statusText), { found, status: answer.status });
  return found;
}
