"use strict";

// A file that is dropped on the form, or a picture that is pasted, is searched by at once.
document.addEventListener("DOMContentLoaded", () => {
  const form = document.getElementById("mmsearch-picture");
  if (!form) return;
  const field = form.querySelector("input[type=file]");
  field.hasChangeListener = true; // Else django-unfold takes it for a widget of its own.

  const send = (file) => {
    const chosen = new DataTransfer();
    chosen.items.add(file);
    field.files = chosen.files;
    form.submit();
  };
  const picture = (files) => [...files].find((file) => file.type.startsWith("image/"));

  const zone = form.closest(".mmsearch");
  zone.addEventListener("dragover", (event) => {
    if (!event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    zone.classList.add("mmsearch-drop");
  });
  zone.addEventListener("dragleave", (event) => {
    if (!zone.contains(event.relatedTarget)) zone.classList.remove("mmsearch-drop");
  });
  zone.addEventListener("drop", (event) => {
    zone.classList.remove("mmsearch-drop");
    const files = event.dataTransfer.files;
    if (!files.length) return;
    event.preventDefault();
    send(picture(files) || files[0]); // Of what is no picture, the answer says so.
  });
  document.addEventListener("paste", (event) => {
    // Office programs put a picture of the cells beside the text that somebody copied.
    const found = picture(event.clipboardData.files);
    if (!found || event.clipboardData.types.includes("text/plain")) return;
    event.preventDefault();
    send(found);
  });
});
