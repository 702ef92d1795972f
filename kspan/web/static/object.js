// Copies the manifest.

const button = document.querySelector("[data-copy]");
const manifest = document.querySelector("[data-manifest]");

if (button && manifest && navigator.clipboard) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(manifest.textContent);
    button.textContent = "Copied";
  });
}
