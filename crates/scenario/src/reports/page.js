const search = document.getElementById("search");
const wrong = document.getElementById("wrong");
const runs = [...document.querySelectorAll("details.run")];
const texts = runs.map((run) => run.textContent.toLowerCase());
const cells = new Map([...document.querySelectorAll(".cell")].map((cell) => [cell.getAttribute("href"), cell]));

function show() {
    const wanted = search.value.toLowerCase().trim();
    runs.forEach((run, place) => {
        const isWrong = run.classList.contains("failed") || run.classList.contains("broken");
        run.hidden = !texts[place].includes(wanted) || (wrong.checked && !isWrong);
        cells.get(`#${run.id}`).hidden = run.hidden;
    });
    for (const row of document.querySelectorAll(".matrix tr")) {
        row.hidden = [...row.querySelectorAll(".cell")].every((cell) => cell.hidden) && row.querySelector(".cell") !== null;
    }
}

search.addEventListener("input", show);
wrong.addEventListener("change", show);
document.getElementById("open").addEventListener("click", () => {
    const open = runs.some((run) => !run.hidden && !run.open);
    for (const run of runs) run.open = open;
});
document.getElementById("theme").addEventListener("click", () => {
    const root = document.documentElement;
    const isDark = root.dataset.theme
        ? root.dataset.theme === "dark"
        : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = isDark ? "light" : "dark";
});
document.querySelector(".matrix").addEventListener("click", (event) => {
    const run = document.querySelector(event.target.getAttribute("href") || "none");
    if (run) run.open = true;
});
