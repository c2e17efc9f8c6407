const search = document.getElementById("search");
const wrong = document.getElementById("wrong");
const runs = [...document.querySelectorAll("details.run")];
const texts = runs.map((run) => run.textContent.toLowerCase());

function show() {
    const wanted = search.value.toLowerCase().trim();
    runs.forEach((run, place) => {
        const isWrong = run.classList.contains("failed") || run.classList.contains("broken");
        run.hidden = !texts[place].includes(wanted) || (wrong.checked && !isWrong);
    });
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
