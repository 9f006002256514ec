const api = "https://example.org/api/assets/";

async function answered(response) {
  const body = await response.json();
  if (!response.ok) throw new Error(JSON.stringify(body));
  return body;
}

export async function byText(text) {
  return answered(await fetch(`${api}?${new URLSearchParams({ search: text, fields: "visual" })}`));
}

// `picture` is a File, as of an <input type="file">, or a Blob, as of a canvas.
export async function byPicture(picture) {
  const form = new FormData();
  form.append("image", picture);
  return answered(await fetch(`${api}search/`, { method: "POST", body: form }));
}

export async function moreLike(asset) {
  return answered(await fetch(asset.links.similar));
}
