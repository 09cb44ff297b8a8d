// What all parts of the page share: its elements, and how the service is asked. Texts only ever become text nodes.

const find = (id) => document.getElementById(id);

/** A new element with a text and classes. */
function make(name, text = "", classes = "") {
  const element = document.createElement(name);
  element.textContent = text;
  if (classes) element.className = classes;
  return element;
}

const percent = new Intl.NumberFormat("en", { style: "percent", maximumFractionDigits: 1 });
const count = new Intl.NumberFormat("en");

/** The service did not answer; `wait` is how many seconds later it may, 0 when it never will. */
class Refused extends Error {
  constructor(status, detail, wait) {
    super(detail);
    this.status = status;
    this.wait = wait;
  }
}

let token = ""; // kept here and nowhere else
const admitted = []; // what to do again once there is a token

/** The answer to a request. Throws Refused; without a valid token the page asks for one. */
async function ask(path, { body, type = "application/json", signal } = {}) {
  const headers = {};
  if (body !== undefined) headers["content-type"] = type;
  if (token) headers.authorization = `Bearer ${token}`;
  let answer;
  try {
    answer = await fetch(path, { method: body === undefined ? "GET" : "POST", headers, body, signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refused(0, "The service cannot be reached.", 3);
  }
  if (answer.ok) return answer;
  const said = await answer.json().catch(() => ({}));
  if (answer.status === 401) {
    demand(token ? "The service does not know this token." : "");
    throw new Refused(401, "", 0);
  }
  const wait = Number(answer.headers.get("retry-after")) || 0;
  throw new Refused(answer.status, sentence(said.detail ?? `status ${answer.status}`), wait);
}

/** With a capital and a full stop. */
function sentence(text) {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? "" : "."}`;
}

function demand(problem) {
  find("access-problem").textContent = problem;
  if (!find("access").hidden) return;
  find("access").hidden = false;
  find("token").focus();
}

find("access").addEventListener("submit", (event) => {
  event.preventDefault();
  const given = find("token").value.trim();
  if (!/^[\x21-\x7e]+$/.test(given)) return demand("A token has letters, digits and signs only.");
  token = given;
  find("token").value = "";
  find("access").hidden = true;
  for (const again of admitted) again();
});

/** What the model can answer: label -> arXiv's name for it. */
const names = new Map();

/** A text in lone surrogates' place has U+FFFD: the service takes what is Unicode. */
const whole = (text) => (text.toWellFormed ? text.toWellFormed() : text);

/** A pause that ends early, with an AbortError, when the signal says so. */
function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, seconds * 1000);
    signal?.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}
