"""Load for `arxivcli serve`, with Locust (`pip install locust`):

locust -f locustfile.py --host http://127.0.0.1:8000                                   a page at :8089 to drive it
locust -f locustfile.py --host http://127.0.0.1:8000 --headless -u 50 -r 10 -t 60s     numbers, and an exit code

TOKEN in the environment is sent along. Users ask one paper after the other; every tenth sends a list, and every now and
then somebody sends what is no paper, which must be refused and not break anything.
"""

import os
import random
import time
from http import HTTPStatus

from locust import FastHttpUser, between, events, task

TOPICS = {
    "math": "primes zeta elliptic curves modular forms congruences residues divisors",
    "physics": "quarks Higgs couplings neutrino decay supersymmetry collider amplitudes",
    "sky": "galaxies halo stellar redshift dust spiral bulge metallicity quasars",
    "language": "language translation tokens corpus grammar sentences parsing dialogue",
    "brain": "neurons cortex spikes synaptic firing plasticity stimuli memory",
}
COMMON = "we study the of a new method for and show that results in with on model which data from"
REFUSED_TOO_OFTEN = 0.01


def paper() -> dict[str, str]:
    """A paper nobody wrote, about as long as most are."""
    words = random.choice(list(TOPICS.values())).split() + COMMON.split()
    return {
        "title": " ".join(random.choices(words, k=random.randint(4, 14))),
        "abstract": " ".join(random.choices(words, k=random.randint(60, 220))),
    }


class Reader(FastHttpUser):
    """Somebody, or somebody's program, that asks and thinks a little."""

    wait_time = between(0.05, 0.2)

    def on_start(self) -> None:
        """Let in with the token, if there is one."""
        token = os.environ.get("TOKEN")
        self.known = {"authorization": f"Bearer {token}"} if token else {}

    @task(90)
    def one(self) -> None:
        """A paper; an answer is right when it has categories, a refusal when it says when to come again."""
        with self.client.post("/predict", json=paper(), headers=self.known, catch_response=True) as answer:
            if answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE and (wait := answer.headers.get("retry-after")):
                answer.failure("busy")
                time.sleep(float(wait))
            elif answer.status_code != HTTPStatus.OK or not answer.json()["predictions"]:
                answer.failure(f"status {answer.status_code}")

    @task(10)
    def many(self) -> None:
        """A list."""
        self.client.post("/predict/batch", json=[paper() for _ in range(20)], headers=self.known)

    @task(1)
    def none(self) -> None:
        """What is no paper."""
        with self.client.post("/predict", json={"title": ""}, headers=self.known, catch_response=True) as answer:
            if answer.status_code == HTTPStatus.UNPROCESSABLE_ENTITY:
                answer.success()
            else:
                answer.failure(f"status {answer.status_code}")


@events.quitting.add_listener
def judge(environment, **_: object) -> None:
    """Exit code 1 when more than one of a hundred requests failed."""
    if environment.stats.total.fail_ratio > REFUSED_TOO_OFTEN:
        environment.process_exit_code = 1
