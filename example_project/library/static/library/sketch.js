"use strict";

// Search by sketch: what is drawn is cropped, put into the page's own form as a picture, and sent like any other.
document.addEventListener("DOMContentLoaded", () => {
  const PAPER = "#ffffff";
  const MARGIN = 0.1; // Around the drawing, as a share of its longer side.
  const ALIKE = 60; // Sum over red, green and blue by which the bucket takes two pixels for the same colour.
  const ERASER = 4; // Times as wide as the pen.
  const KEPT = "library.sketch";

  const dialog = document.getElementById("sketch");
  const upload = document.querySelector("#mmsearch-picture input[type=file]");
  const tools = dialog.querySelector("form");
  const canvas = dialog.querySelector("canvas");
  const said = dialog.querySelector("[role=status]");
  const pen = canvas.getContext("2d", { willReadFrequently: true });

  // What was done, each of which can be undone: a stroke {colour, width, points}, a fill {colour, at}, in pixels of
  // the canvas, or a clean sheet {}.
  let drawing = [];

  // Point by point, whether drawn just now or again: so both look the same to the last pixel.
  const drawTo = ({ colour, width, points }, index) => {
    const [x, y] = points[index];
    const [fromX, fromY] = points[index - 1] ?? [x - 0.1, y]; // A line without length is not drawn, and a dot is one.
    pen.strokeStyle = colour;
    pen.lineWidth = width;
    pen.lineCap = "round";
    pen.beginPath();
    pen.moveTo(fromX, fromY);
    pen.lineTo(x, y);
    pen.stroke();
  };

  const fill = ({ colour, at: [x, y] }) => {
    const picture = pen.getImageData(0, 0, canvas.width, canvas.height);
    const { data, width, height } = picture;
    const paint = [1, 3, 5].map((digit) => parseInt(colour.slice(digit, digit + 2), 16));
    const seen = new Uint8Array(width * height);
    const todo = new Int32Array(width * height);
    let waiting = 0;
    const visit = (pixel) => {
      if (seen[pixel]) return;
      seen[pixel] = 1;
      todo[waiting++] = pixel;
    };
    visit(y * width + x);
    const [red, green, blue] = data.slice(4 * todo[0], 4 * todo[0] + 3);
    while (waiting) {
      const pixel = todo[--waiting];
      const at = 4 * pixel;
      const away = Math.abs(data[at] - red) + Math.abs(data[at + 1] - green) + Math.abs(data[at + 2] - blue);
      const inside = away < ALIKE;
      // Paint runs a little under the line around it, whose soft edge would stay pale; but it does not eat the line.
      for (let part = 0; part < 3; part++) {
        data[at + part] = inside ? paint[part] : Math.min(paint[part], data[at + part]);
      }
      if (!inside) continue;
      if (pixel % width > 0) visit(pixel - 1);
      if (pixel % width < width - 1) visit(pixel + 1);
      if (pixel >= width) visit(pixel - width);
      if (pixel < width * (height - 1)) visit(pixel + width);
    }
    pen.putImageData(picture, 0, 0);
  };

  const blank = () => {
    pen.fillStyle = PAPER;
    pen.fillRect(0, 0, canvas.width, canvas.height);
  };

  const draw = () => {
    blank();
    for (const part of drawing) {
      if (part.points) part.points.forEach((_, index) => drawTo(part, index));
      else if (part.at) fill(part);
      else blank();
    }
  };

  // Kept while the tab is open, so that a drawing can be bettered after a look at what it found.
  const keep = () => {
    try {
      sessionStorage.setItem(KEPT, JSON.stringify(drawing));
    } catch {
      // Without storage the drawing lasts as long as the page.
    }
  };

  const restore = () => {
    try {
      drawing = JSON.parse(sessionStorage.getItem(KEPT)) ?? drawing;
    } catch {
      // As above.
    }
    draw();
  };

  const changed = () => {
    said.textContent = "";
    keep();
  };

  // Drawing

  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    const within = (value, size) => Math.round(Math.min(Math.max(value, 0), size - 1));
    return [
      within(((event.clientX - box.left) / box.width) * canvas.width, canvas.width),
      within(((event.clientY - box.top) / box.height) * canvas.height, canvas.height),
    ];
  };

  let stroke = null;

  canvas.addEventListener("pointerdown", (event) => {
    if (!event.isPrimary || event.button !== 0) return;
    const tool = tools.elements.tool.value;
    const colour = tool === "eraser" ? PAPER : tools.elements.colour.value;
    if (tool === "bucket") {
      drawing.push({ colour, at: place(event) });
      fill(drawing.at(-1));
      changed();
      return;
    }
    canvas.setPointerCapture(event.pointerId);
    const width = Number(tools.elements.width.value) * (tool === "eraser" ? ERASER : 1);
    stroke = { colour, width, points: [place(event)] };
    drawing.push(stroke);
    drawTo(stroke, 0);
  });

  canvas.addEventListener("pointermove", (event) => {
    if (!stroke || !event.isPrimary) return;
    const passed = event.getCoalescedEvents?.() ?? [];
    for (const moved of passed.length ? passed : [event]) drawTo(stroke, stroke.points.push(place(moved)) - 1);
  });

  for (const end of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(end, () => {
      if (stroke) changed();
      stroke = null;
    });
  }

  // Sending

  /** The smallest box around all that is not paper: [left, top, right, bottom]; null on an empty sheet. */
  const drawn = () => {
    const { data, width, height } = pen.getImageData(0, 0, canvas.width, canvas.height);
    let [left, top, right, bottom] = [width, height, 0, 0];
    for (let pixel = 0; pixel < width * height; pixel++) {
      if (data[4 * pixel] + data[4 * pixel + 1] + data[4 * pixel + 2] === 3 * 255) continue;
      const [x, y] = [pixel % width, Math.floor(pixel / width)];
      left = Math.min(left, x);
      right = Math.max(right, x + 1);
      top = Math.min(top, y);
      bottom = Math.max(bottom, y + 1);
    }
    return right ? [left, top, right, bottom] : null;
  };

  /** The drawing in the middle of a square, however small and wherever on the canvas it is. */
  const cropped = ([left, top, right, bottom]) => {
    const sheet = document.createElement("canvas");
    sheet.width = sheet.height = Math.ceil(Math.max(right - left, bottom - top) * (1 + 2 * MARGIN));
    const copy = sheet.getContext("2d");
    copy.fillStyle = PAPER;
    copy.fillRect(0, 0, sheet.width, sheet.height);
    copy.drawImage(canvas, Math.floor((sheet.width - left - right) / 2), Math.floor((sheet.height - top - bottom) / 2));
    return sheet;
  };

  tools.addEventListener("submit", (event) => {
    event.preventDefault();
    const box = drawn();
    if (!box) {
      said.textContent = "Draw something first.";
      return;
    }
    cropped(box).toBlob((png) => {
      const chosen = new DataTransfer();
      chosen.items.add(new File([png], "sketch.png", { type: "image/png" }));
      upload.files = chosen.files;
      upload.form.submit();
    });
  });

  // Tools

  const undo = () => {
    drawing.pop();
    draw();
    changed();
  };

  const clear = () => {
    drawing.push({});
    blank();
    changed();
  };

  const pick = (colour) => {
    tools.elements.colour.value = colour;
    if (tools.elements.tool.value === "eraser") tools.elements.tool.value = "pen";
    for (const swatch of dialog.querySelectorAll("[data-colour]")) {
      swatch.setAttribute("aria-pressed", swatch.dataset.colour === colour);
    }
  };

  tools.elements.colour.addEventListener("input", (event) => pick(event.target.value));
  dialog.addEventListener("click", (event) => {
    const button = event.target.closest("button[type=button]");
    if (!button) return;
    if (button.dataset.colour) pick(button.dataset.colour);
    else ({ undo, clear, close: () => dialog.close() })[button.name]();
  });
  dialog.addEventListener("keydown", (event) => {
    if (event.key.toLowerCase() !== "z" || !(event.ctrlKey || event.metaKey) || event.shiftKey) return;
    event.preventDefault();
    if (!stroke) undo();
  });

  const opener = document.getElementById("draw");
  opener.addEventListener("click", () => {
    restore();
    dialog.showModal();
  });
  opener.closest("[hidden]").hidden = false;
});
