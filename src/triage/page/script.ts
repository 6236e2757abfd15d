/** What the page does in a browser: it sorts a table by a column, and changes between light and dark. */
export const SCRIPT = `
for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => {
    const head = button.closest("th");
    const isUp = head.getAttribute("aria-sort") !== "ascending";
    for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", isUp ? "ascending" : "descending");
    const orderOf = (row) => row.cells[head.cellIndex].dataset.order ?? row.cells[head.cellIndex].textContent;
    const compare = (a, b) => a - b || String(a).localeCompare(String(b), "en", { numeric: true });
    const body = head.closest("table").tBodies[0];
    const rows = [...body.rows].sort((a, b) => (isUp ? 1 : -1) * compare(orderOf(a), orderOf(b)));
    body.append(...rows);
  });
}
const theme = document.getElementById("theme");
theme.hidden = false;
theme.addEventListener("click", () => {
  const root = document.documentElement;
  const now = root.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  root.dataset.theme = now === "dark" ? "light" : "dark";
});
`;
