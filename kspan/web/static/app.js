// What every page does: times in the reader's zone, the why box, keyboard.

import { showTimes, toggleZone, zoneName } from "./times.js";

const zone = document.querySelector("[data-zone]");
const why = document.querySelector("[data-why]");

function show() {
  zone.textContent = zoneName();
  showTimes(document);
}

zone.hidden = false;
zone.addEventListener("click", () => {
  toggleZone();
  show();
});
show();

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape" && document.activeElement === why) why.blur();
  if (event.target.closest("input, textarea, select, [contenteditable]")) return;
  if (event.key === "/") {
    event.preventDefault();
    why.focus();
    why.select();
  }
});
