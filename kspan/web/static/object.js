// Copies the manifest; a click on a mark of the life opens its trace (the list below has the same links).

const button = document.querySelector("[data-copy]");
const manifest = document.querySelector("[data-manifest]");

if (button && manifest && navigator.clipboard) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(manifest.textContent);
    button.textContent = "Copied";
  });
}

document.querySelector(".tracks")?.addEventListener("click", (event) => {
  const { href } = event.target.dataset;
  if (href) location.href = href;
});
