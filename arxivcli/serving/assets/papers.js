// Many papers: pasted, chosen or dropped; asked about piece by piece, shown as a table, and given back as one.

const PIECE = 100; // papers of one request
const MOST = 20_000; // papers of one list
const TRIES = 5; // of one request before the list is given up
const LARGEST = 32 * 2 ** 20; // bytes of a file
const SHOWN = 500; // rows of the table on the page; the file has all

let answered = [];
let working; // the AbortController of the list that is under way

/** Answer a list from its first paper to its last, or until it is stopped. */
async function work(text) {
  working?.abort();
  answered = [];
  find("rows").replaceChildren();
  find("results").hidden = true;
  const papers = papersOf(text);
  if (!papers.length) return trouble("There is no paper in it.");
  if (papers.length > MOST) return trouble(`It has more than ${count.format(MOST)} papers: use arxivcli classify.`);
  const mine = (working = new AbortController());
  trouble("");
  find("stop").hidden = false;
  try {
    for (let at = 0; at < papers.length; at += PIECE) {
      const some = papers.slice(at, at + PIECE);
      add(some, await patiently(some, mine.signal));
      find("list-said").textContent = `${count.format(answered.length)} of ${count.format(papers.length)} papers.`;
    }
  } catch (error) {
    if (mine !== working) return;
    if (error instanceof Refused) trouble(error.message);
    else if (!mine.signal.aborted) throw error;
  } finally {
    if (mine === working) ended(papers.length);
  }
}

/** The answers to some papers; who is told to come again does. */
async function patiently(papers, signal) {
  for (let left = TRIES; ; left--) {
    try {
      return await answersTo(papers, signal);
    } catch (error) {
      if (!(error instanceof Refused) || !error.wait || left === 1) throw error;
      await pause(error.wait, signal);
    }
  }
}

async function answersTo(papers, signal) {
  const fine = papers.filter((paper) => !paper.error);
  const lines = fine.map(({ title, abstract }) => JSON.stringify({ title: whole(title), abstract: whole(abstract) || " " }));
  const given = { body: `${lines.join("\n")}\n`, type: "application/x-ndjson", signal };
  const text = fine.length ? await (await ask("predict/batch?top=3", given)).text() : "";
  const answers = text.split("\n").filter(Boolean).map((line) => JSON.parse(line));
  if (answers.length !== fine.length) throw new Refused(0, "The answer was cut off.", 3);
  return papers.map((paper) => (paper.error ? { error: paper.error } : answers.shift()));
}

function add(papers, answers) {
  const rows = papers.map((paper, number) => ({ paper, answer: answers[number] }));
  const room = Math.max(0, SHOWN - answered.length);
  find("rows").append(...rows.slice(0, room).map(rowOf));
  answered.push(...rows);
  find("results").hidden = false;
  const rest = answered.length - SHOWN;
  find("more").textContent = rest > 0 ? `${count.format(rest)} more are in the file.` : "";
}

function rowOf({ paper, answer }) {
  const row = make("tr");
  const title = make("td");
  title.append(make("bdi", paper.title.length > 300 ? `${paper.title.slice(0, 300)}…` : paper.title));
  row.append(make("td", paper.id.slice(0, 40)), title);
  const [best] = answer.predictions ?? [];
  if (best) {
    row.append(make("td", best.category), make("td", names.get(best.category) ?? ""));
    row.append(make("td", percent.format(best.confidence), "n"));
  } else {
    const problem = make("td", sentence(answer.error));
    problem.colSpan = 3;
    row.append(problem);
  }
  return row;
}

function ended(total) {
  find("stop").hidden = true;
  const failed = answered.filter(({ answer }) => !answer.predictions).length;
  const unanswered = failed ? `, ${count.format(failed)} of them without an answer` : "";
  const end = answered.length < total ? `Ended after ${count.format(answered.length)} of` : "All";
  const all = total === 1 ? "One paper" : `${end} ${count.format(total)} papers`;
  find("list-said").textContent = `${all}${unanswered}.`;
}

function trouble(problem) {
  find("list-problem").textContent = problem;
  if (problem) find("list-said").textContent = "";
}

async function workOn(file) {
  if (file.size > LARGEST) return trouble("The file is too long for a page: use arxivcli classify.");
  try {
    const text = decoded(await file.arrayBuffer());
    if (text === undefined) return trouble("The file is no text: use arxivcli classify.");
    const [first] = text.split("\n", 1);
    if (/\.[ct]sv$/i.test(file.name) && /[,;\t]/.test(first) && !headed(text)) return trouble("The table has no column named title.");
    return work(text);
  } catch {
    return trouble("The file cannot be read.");
  }
}

find("papers").addEventListener("submit", (event) => {
  event.preventDefault();
  const [file] = find("file").files;
  if (find("list").value.trim()) work(find("list").value);
  else if (file) workOn(file);
  else trouble("Paste a list, or choose a file.");
});
find("file").addEventListener("change", () => {
  const [file] = find("file").files;
  if (file) workOn(file);
});
find("stop").addEventListener("click", () => working?.abort());
find("save").addEventListener("click", () => {
  const link = make("a");
  link.href = URL.createObjectURL(new Blob([tableOf(answered)], { type: "text/csv;charset=utf-8" }));
  link.download = "categories.csv";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
});
for (const kind of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return; // text that is dropped goes where it is dropped
    event.preventDefault(); // else the browser would leave the page for the file
    find("papers").classList.toggle("over", kind === "dragover");
    if (kind === "drop" && event.dataTransfer.files.length) workOn(event.dataTransfer.files[0]);
  });
}
