// A paper by its arXiv id: the service asks arXiv for it, and the fields below get what it says.

let fetching; // the AbortController of the request that is under way

async function get() {
  fetching?.abort();
  const id = find("arxiv-id").value.trim();
  if (!id) return say("", "Give an arXiv id, such as 2401.01234.");
  const { signal } = (fetching = new AbortController());
  say("Asking arXiv: it wants a few seconds between questions.");
  try {
    const paper = await (await ask(`papers?${new URLSearchParams({ id: whole(id) })}`, { signal })).json();
    find("title").value = paper.title;
    find("abstract").value = paper.abstract;
    const filed = paper.categories.length ? `arXiv has it in ${paper.categories.map(named).join(", ")}.` : "";
    say(`${paper.id}. ${filed}`);
    answer();
  } catch (error) {
    if (signal.aborted) return;
    say("");
    if (!(error instanceof Refused)) throw error;
    say("", error.message);
  }
}

function say(told, problem = "") {
  find("fetched").textContent = told;
  find("fetch-problem").textContent = problem;
}

find("by-id").addEventListener("submit", (event) => {
  event.preventDefault();
  get();
});
for (const id of ["title", "abstract"]) {
  find(id).addEventListener("input", () => {
    fetching?.abort(); // what is typed is not overwritten
    say("");
  });
}
