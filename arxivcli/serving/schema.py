"""What the service takes and sends, as its OpenAPI description says it; the examples are real answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from arxivcli import taxonomy
from arxivcli.serving.bodies import JSON, LINES, LONGEST_ID, VISIBLE

if TYPE_CHECKING:
    from arxivcli.serving.settings import Limits

PAPER = {
    "title": "Primes in short intervals",
    "abstract": "We show that almost all short intervals contain the expected number of primes.",
}
_ANSWER: dict[str, Any] = {
    "top_category": "math.NT",
    "predictions": [
        {"category": "math.NT", "confidence": 0.9712},
        {"category": "math.CA", "confidence": 0.0078},
        {"category": "math.CO", "confidence": 0.0052},
    ],
}


_FETCHED: dict[str, Any] = {
    "id": "hep-th/9711200",
    "title": "The Large N Limit of Superconformal Field Theories and Supergravity",
    "abstract": "We show that the large N limit of certain conformal field theories in various dimensions ...",
    "categories": ["hep-th"],
}


class Prediction(BaseModel):
    """A category and the probability that it is the primary one."""

    category: str
    confidence: float = Field(ge=0, le=1)


class Word(BaseModel):
    """A word, or a pair of words, and what it adds to the best category's score; where it stands in the cleaned text.

    Places are counted in characters (code points).
    """

    text: str
    contribution: float
    where: Literal["title", "abstract"]
    begins: list[int]
    ends: list[int]


class Cleaned(BaseModel):
    """Title and abstract as the model read them."""

    title: str
    abstract: str


class Answer(BaseModel):
    """The best category and those after it; `id` when the paper had one, `set` when a coverage was asked for.

    `explanation` and `cleaned` when it was asked which words count.
    """

    model_config = ConfigDict(json_schema_extra={"example": _ANSWER})

    top_category: str
    predictions: list[Prediction] = Field(min_length=1)
    set: list[str] = Field(
        default=[], min_length=1, description="Holds the true category as often as the coverage says, over many papers."
    )
    explanation: list[Word] = Field(default=[], description="Strongest first; below 0 is against it.")
    cleaned: Cleaned | None = None
    id: str = ""


class Problem(BaseModel):
    """Why a request is not answered, in one sentence."""

    detail: str


class Fetched(BaseModel):
    """A paper as arXiv has it; the primary category first."""

    model_config = ConfigDict(json_schema_extra={"example": _FETCHED})

    id: str
    title: str
    abstract: str
    categories: list[str]


class Health(BaseModel):
    """How the service is."""

    model_config = ConfigDict(protected_namespaces=())

    status: Literal["healthy", "not ready"]
    model_loaded: bool
    model_type: str
    device: str
    num_classes: int


class Said(BaseModel):
    """One word."""

    status: Literal["alive", "ready"]


class Label(BaseModel):
    """A label the model can answer, and arXiv's name for it."""

    label: str
    name: str


class Labels(BaseModel):
    """All that the model can answer."""

    level: Literal["category", "archive", "group"]
    labels: list[Label]


class ModelCard(BaseModel):
    """What the model's folder says about it."""

    name: str
    kind: str
    level: Literal["category", "archive", "group"]
    version: str = Field(description="Begins the sha256 of the model's card: another model, another version.")
    num_classes: int
    explains: bool = Field(description="Whether it can say which words count.")
    recipe: str
    settings: dict[str, Any]
    corpus: dict[str, Any]
    metrics: dict[str, Any]
    calibration: dict[str, Any]
    files: dict[str, str] = Field(description="sha256 of every file of the model.")


class Distance(BaseModel):
    """The Jensen-Shannon distance of two mixes, and about what it would be by chance alone."""

    distance: float = Field(ge=0, le=1)
    by_chance: float = Field(ge=0, le=1)


class Moved(BaseModel):
    """A category and its shares of the answers."""

    category: str
    reference: float = Field(ge=0, le=1)
    lately: float = Field(ge=0, le=1)


class Lately(BaseModel):
    """The latest answers."""

    papers: int


class Reference(BaseModel):
    """What the latest answers are compared with."""

    source: str = Field(description="The log's name, or that it is the first answers since the start.")
    papers: int


class Drift(BaseModel):
    """How far the latest answers are from the reference; null while there are too few to say."""

    reference: Reference
    lately: Lately
    categories: Distance | None
    confidence: Distance | None
    moved: list[Moved] = Field(description="The categories that add most to the distance.")


class Reloaded(BaseModel):
    """Which model answers now."""

    name: str
    version: str


_MEANINGS = {
    400: "It is not what it says: no JSON, not complete, a Host that the service does not know.",
    401: "No token, or one that is not known.",
    404: "There is no such paper.",
    403: "The service was started without tokens, so nobody may do this.",
    408: "It did not arrive in time.",
    409: "The model is damaged or gone; the one before goes on answering.",
    413: "It is too long.",
    415: "It is of a type, or packed in a way, that is not understood.",
    422: "It is no paper: the sentence says what is missing.",
    429: "Too many requests from one client; Retry-After says when to come again.",
    431: "The headers are too long.",
    500: "A fault of the service; the sentence names the request as the log does.",
    502: "arXiv fails or refuses; Retry-After says when to come again.",
    503: "Too many requests are waiting, or the service is not ready; Retry-After says when to come again.",
    504: "No answer within the deadline.",
}
_ALWAYS = (400, 429, 431)


def refusals(*statuses: int, token: bool = True) -> dict[int | str, dict[str, Any]]:
    """The error answers of a route, and those that every route has."""
    every = {*statuses, *_ALWAYS, *((401,) if token else ())}
    return {status: {"model": Problem, "description": _MEANINGS[status]} for status in sorted(every)}


def alive(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The error answers of the routes that are always open."""
    return {status: {"model": Problem, "description": _MEANINGS[status]} for status in (*statuses, 431)}


def question(top: int, explains: bool) -> list[dict[str, Any]]:
    """The query parameters of what is predicted."""
    explain = {
        "name": "explain",
        "in": "query",
        "required": False,
        "description": "Also answer with the words that spoke for and against the best category. Where gradients "
        "say so (all models but fast ones) a paper counts as eight, in the queue and in a list.",
        "schema": {"type": "boolean", "default": False},
    }
    return [
        *([explain] if explains else []),
        {
            "name": "top",
            "in": "query",
            "required": False,
            "description": "How many categories an answer names.",
            "schema": {"type": "integer", "minimum": 1, "maximum": 1000, "default": top},
        },
        {
            "name": "coverage",
            "in": "query",
            "required": False,
            "description": "Also answer with a set that holds the true category this often.",
            "schema": {"type": "number", "minimum": 0.5, "maximum": 0.99},
        },
    ]


def arxiv_id() -> list[dict[str, Any]]:
    """The query parameter of a paper that arXiv has."""
    archives = "|".join(sorted(taxonomy.archives()))
    return [
        {
            "name": "id",
            "in": "query",
            "required": True,
            "description": "An arXiv id, with or without version; its page's address is understood too.",
            "schema": {
                "type": "string",
                "maxLength": LONGEST_ID,
                "pattern": rf"^(https://arxiv\.org/abs/)?([0-9]{{4}}\.[0-9]{{4,5}}|({archives})/[0-9]{{7}})(v[1-9])?$",
            },
            "examples": {
                "since 2007": {"value": "2401.01234"},
                "before": {"value": "hep-th/9711200"},
                "address": {"value": "https://arxiv.org/abs/hep-th/9711200v3"},
            },
        }
    ]


def paper(limits: Limits) -> dict[str, Any]:
    """The schema of a paper."""
    text = {"type": "string", "minLength": 1, "maxLength": limits.characters}
    return {
        "type": "object",
        "title": "Paper",
        "required": ["title", "abstract"],
        "properties": {
            "title": {**text, "pattern": VISIBLE, "description": "Formulas in TeX are fine."},
            "abstract": text,
            "id": {
                "type": ["string", "null"],
                "minLength": 1,
                "maxLength": LONGEST_ID,
                "description": "Your own name for it; it comes back with the answer.",
            },
        },
    }


def one_body(limits: Limits) -> dict[str, Any]:
    """The body of `/predict`."""
    return {"required": True, "content": {JSON: {"schema": paper(limits), "example": PAPER}}}


def many_bodies(limits: Limits) -> dict[str, Any]:
    """The bodies of `/predict/batch`."""
    listed = {"type": "array", "minItems": 1, "maxItems": limits.items, "items": paper(limits)}
    lines = {"schema": {"description": "A paper a line."}, "example": '{"title": "...", "abstract": "..."}\n'}
    return {
        "required": True,
        "content": {JSON: {"schema": listed, "example": [PAPER]}} | dict.fromkeys(LINES, lines),
    }
