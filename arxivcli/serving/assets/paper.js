// One paper: it is asked about while it is typed, and only the answer to what stands there now is shown.

const PAUSE = 250; // ms without a key after which the service is asked
const QUIET = 1000; // ms after which an answer is told to who listens: not one at every key

const NAMED = 8; // words for and against that are named; more are marked

const EXAMPLES = [
  ["Primes", "Primes in short intervals",
    "We show that almost all short intervals contain the expected number of primes, and that the zeros of the zeta function repel each other more strongly than was known."],
  ["Translation", "Translating between languages without parallel sentences",
    "We train a language model on two corpora that share no sentence and align their embeddings. The translations come close to those of supervised systems for related languages."],
  ["Dwarf galaxies", "Faint dwarf galaxies around a nearby spiral",
    "Deep images of the halo of a spiral galaxy reveal twelve new satellites. Their metallicity and luminosity follow the relation of the Local Group."],
  ["Neutrinos", "Neutrino masses from a broken flavour symmetry",
    "We build a model in which a discrete flavour symmetry is broken at the TeV scale. It predicts the ordering of neutrino masses and decays that colliders can look for."],
];

const COVERAGES = ["0.80", "0.90", "0.95", "0.99"];

let asking; // the AbortController of the request that is under way
let telling; // the timer of what is to be told
let typing; // the timer of what is to be asked
let explains = false;

function changed() {
  clearTimeout(typing);
  asking?.abort();
  find("answer").classList.add("old");
  typing = setTimeout(answer, PAUSE);
}

/** Ask about what stands there now. */
async function answer() {
  clearTimeout(typing);
  asking?.abort();
  const title = find("title").value;
  const abstract = find("abstract").value;
  if (!title.trim()) return blank(abstract.trim() ? "Give it a title, too." : "");
  asking = new AbortController();
  const { signal } = asking;
  try {
    // Without an abstract a space stands for it: a title alone is answered too, only less surely.
    const body = JSON.stringify({ title: whole(title), abstract: whole(abstract) || " " });
    const reply = await ask(`predict?${question()}`, { body, signal });
    show(await reply.json());
  } catch (error) {
    if (signal.aborted) return;
    if (!(error instanceof Refused)) throw error;
    blank(error.message);
    if (error.wait) typing = setTimeout(answer, error.wait * 1000);
  }
}

function question() {
  const asked = new URLSearchParams({ top: find("top").value });
  if (find("coverage").value) asked.set("coverage", find("coverage").value);
  if (explains && find("explain").checked) asked.set("explain", "true");
  return asked;
}

function blank(problem) {
  clearTimeout(telling);
  find("answer").hidden = true;
  find("said").textContent = "";
  find("problem").textContent = problem;
}

function show(answer) {
  find("problem").textContent = "";
  find("answer").hidden = false;
  find("answer").classList.remove("old");
  find("predictions").replaceChildren(...answer.predictions.map(prediction));
  showSet(answer.set);
  showWhy(answer);
  const [best] = answer.predictions;
  clearTimeout(telling);
  telling = setTimeout(() => {
    find("said").textContent = `${named(best.category)}, ${percent.format(best.confidence)}`;
  }, QUIET);
}

const named = (label) => (names.has(label) ? `${label} ${names.get(label)}` : label);

function prediction({ category, confidence }) {
  const entry = make("li");
  const bar = make("div", "", "bar");
  const filled = make("span");
  filled.style.width = `${confidence * 100}%`;
  bar.append(filled);
  bar.ariaHidden = "true";
  const shown = confidence > 0 && confidence < 0.001 ? "< 0.1%" : percent.format(confidence);
  entry.append(make("span", category, "code"), make("span", names.get(category) ?? "", "name"));
  entry.append(make("span", shown, "percent"), bar);
  return entry;
}

function showSet(set) {
  find("set").hidden = !set;
  if (!set) return;
  const many = set.length === 1 ? "This one" : `One of these ${set.length}`;
  find("promise").textContent = `${many} in ${percent.format(Number(find("coverage").value))} of cases`;
  find("inside").replaceChildren(...set.map((label) => make("li", named(label))));
}

/** Words that spoke for the best category, and against it, where they stand in the text as the model read it. */
function showWhy({ explanation, cleaned, top_category: best }) {
  find("why").hidden = !explanation || !cleaned;
  if (find("why").hidden) return;
  find("why-category").textContent = best;
  const most = Math.max(...explanation.map((one) => Math.abs(one.contribution)), Number.MIN_VALUE);
  for (const where of ["title", "abstract"]) {
    const inside = explanation.filter((one) => one.where === where);
    find(`why-${where}`).replaceChildren(...marked(cleaned[where], inside, most));
  }
  find("why-for").textContent = `For it: ${strongest(explanation, 1)}.`;
  find("why-against").textContent = `Against it: ${strongest(explanation, -1)}.`;
}

function strongest(explanation, sign) {
  const words = new Set(explanation.filter((one) => one.contribution * sign > 0).map((one) => one.text));
  return [...words].slice(0, NAMED).join(", ") || "nothing in particular";
}

/** The text in pieces, those that count in marks. Places are counted in characters, not in UTF-16 units. */
function marked(text, explanation, most) {
  const characters = Array.from(text);
  const weights = new Float64Array(characters.length);
  for (const { contribution, begins, ends } of explanation) {
    begins.forEach((begin, number) => {
      for (let at = begin; at < Math.min(ends[number], weights.length); at++) weights[at] += contribution;
    });
  }
  const pieces = [];
  for (let begin = 0, at = 1; at <= characters.length; at++) {
    if (at < characters.length && weights[at] === weights[begin]) continue;
    pieces.push(piece(characters.slice(begin, at).join(""), weights[begin] / most));
    begin = at;
  }
  return pieces;
}

function piece(text, weight) {
  if (!weight) return document.createTextNode(text);
  const strength = Math.abs(weight) > 0.66 ? "strong" : Math.abs(weight) > 0.33 ? "some" : "little";
  return make("mark", text, `${weight > 0 ? "for" : "against"} ${strength}`);
}

/** What the model is and can do; asked once, and again with a token. */
async function begin() {
  try {
    const [labels, model] = await Promise.all(["labels", "model"].map(async (path) => (await ask(path)).json()));
    for (const { label, name } of labels.labels) names.set(label, name);
    explains = Boolean(model.explains);
    find("explain-choice").hidden = !explains;
    const known = COVERAGES.filter((each) => each in (model.calibration.quantiles ?? {}));
    find("coverage").replaceChildren(new Option("no set", ""));
    for (const each of known) find("coverage").add(new Option(percent.format(Number(each)), each));
    if (known.includes("0.90")) find("coverage").value = "0.90";
    find("coverage-choice").hidden = known.length === 0;
    find("model").textContent = `Answers of ${model.name} (${model.num_classes} labels).`;
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    if (error.status !== 401) find("problem").textContent = error.message;
    if (error.wait) setTimeout(begin, error.wait * 1000);
    return;
  }
  answer();
}

for (const id of ["title", "abstract"]) {
  find(id).addEventListener("input", changed);
  find(id).addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) answer();
  });
}
for (const id of ["top", "coverage", "explain"]) find(id).addEventListener("change", answer);
find("paper").addEventListener("submit", (event) => event.preventDefault());
document.querySelector(".examples").append(
  ...EXAMPLES.map(([name, title, abstract]) => {
    const button = make("button", name);
    button.type = "button";
    button.addEventListener("click", () => {
      find("title").value = title;
      find("abstract").value = abstract;
      answer();
    });
    return button;
  }),
);
admitted.push(begin);
begin();
