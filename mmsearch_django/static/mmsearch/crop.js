"use strict";

// A frame that is drawn on a picture fills in its sides, in per cent; numbers that are typed move the frame.
document.addEventListener("DOMContentLoaded", () => {
  for (const area of document.querySelectorAll(".mmsearch-frame")) {
    const form = area.closest("form");
    const frame = area.querySelector("span");
    const sides = ["left", "top", "right", "bottom"].map((name) => form.elements[name]);
    let start = null;

    const show = () => {
      const [left, top, right, bottom] = sides.map((side) => Number(side.value));
      Object.assign(frame.style, {
        left: `${left}%`, top: `${top}%`, width: `${Math.max(right - left, 0)}%`, height: `${Math.max(bottom - top, 0)}%`,
      });
      frame.hidden = false;
    };
    const place = (event) => {
      const box = area.getBoundingClientRect();
      const share = (at, from, size) => Math.min(Math.max((100 * (at - from)) / size, 0), 100);
      return [share(event.clientX, box.left, box.width), share(event.clientY, box.top, box.height)];
    };
    const draw = (event) => {
      if (!start) return;
      const end = place(event);
      const values = [0, 1].map((axis) => Math.min(start[axis], end[axis]));
      values.push(...[0, 1].map((axis) => Math.max(start[axis], end[axis])));
      sides.forEach((side, number) => { side.value = values[number].toFixed(1); });
      show();
    };

    area.addEventListener("pointerdown", (event) => {
      event.preventDefault(); // A picture would be dragged away.
      area.setPointerCapture(event.pointerId);
      start = place(event);
    });
    area.addEventListener("pointermove", draw);
    area.addEventListener("pointerup", (event) => {
      draw(event);
      start = null;
    });
    area.addEventListener("pointercancel", () => { start = null; });
    for (const side of sides) side.addEventListener("input", show);
  }
});
