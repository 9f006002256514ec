"use strict";

// A picture that is dropped on the form, or pasted anywhere but into a text, is searched by at once.
document.addEventListener("DOMContentLoaded", () => {
  const form = document.getElementById("mmsearch-picture");
  if (!form) return;
  const field = form.querySelector("input[type=file]");

  const send = (files) => {
    const pictures = [...files].filter((file) => file.type.startsWith("image/"));
    if (!pictures.length) return false;
    const chosen = new DataTransfer();
    chosen.items.add(pictures[0]);
    field.files = chosen.files;
    form.submit();
    return true;
  };

  const zone = form.closest(".mmsearch");
  zone.addEventListener("dragover", (event) => {
    event.preventDefault();
    zone.classList.add("mmsearch-drop");
  });
  zone.addEventListener("dragleave", () => zone.classList.remove("mmsearch-drop"));
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    zone.classList.remove("mmsearch-drop");
    send(event.dataTransfer.files);
  });
  document.addEventListener("paste", (event) => {
    if (send(event.clipboardData.files)) event.preventDefault();
  });
});
