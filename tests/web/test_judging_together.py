"""Many people, other processes and any order of events: the book says what the store says."""

import threading

from hypothesis import given, settings
from hypothesis import strategies as st

from data.errors import VerdictError, WithdrawnVerdictError
from data.outcomes import NewJudgement, OutcomeStore
from data.schema import Outcome
from data.verdicts import DecisionRule, Rule
from recap.web.desk.judging import Judging


def say(judging, uid, verdict, rater, **about):
    new = NewJudgement(episode_uid=uid, rater=rater, verdict=Outcome(verdict), **about)
    return judging.add(new, frames=24)


def test_eight_people_at_once_lose_nothing(tmp_path):
    store = OutcomeStore(tmp_path / "outcomes.db")
    judging = Judging(store, rule=DecisionRule(rule=Rule.MAJORITY, raters_needed=2))
    elsewhere = OutcomeStore(tmp_path / "outcomes.db")
    acknowledged = []

    def person(number):
        for episode in range(25):
            added = say(
                judging,
                f"e{episode}",
                ("success", "failure")[(number + episode) % 2],
                f"p{number}",
                request_id=f"request-{number}-{episode}",
            )
            judging.refresh()
            judging.history(f"e{episode}")
            acknowledged.append(added.line)
        taken_back = judging.withdraw(acknowledged[-1].id, rater=acknowledged[-1].rater)
        acknowledged.append(taken_back.line)

    def robot():
        acknowledged.extend(
            elsewhere.judge(f"e{episode}", Outcome.DISCARD, rater="robot") for episode in range(25)
        )

    # Each takes back a line of whoever came last, so some are refused: that is no loss.
    refused = []

    def run(work, *number):
        try:
            work(*number)
        except VerdictError as error:
            refused.append(error)

    threads = [threading.Thread(target=run, args=(person, number)) for number in range(8)]
    threads.append(threading.Thread(target=run, args=(robot,)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(isinstance(error, WithdrawnVerdictError) for error in refused)
    judging._catch_up()
    lines = store.since()
    assert sorted(line.id for line in acknowledged) == [line.id for line in lines]
    assert len(lines) == 9 * 25 + 8 - len(refused)
    expected = elsewhere.decisions(judging.rule)
    assert {uid: said.decision for uid, said in judging.standings.items()} == expected
    elsewhere.close()
    store.close()


ACTIONS = st.lists(
    st.one_of(
        st.tuples(
            st.just("say"),
            st.sampled_from("abc"),
            st.sampled_from(list(Outcome)),
            st.sampled_from(["Anna", "Ben", "Cleo"]),
        ),
        st.tuples(st.just("elsewhere"), st.sampled_from("abc"), st.sampled_from(list(Outcome))),
        st.tuples(st.just("withdraw"), st.integers(1, 12)),
    ),
    max_size=12,
)


@settings(max_examples=25, deadline=None)
@given(actions=ACTIONS, rule=st.sampled_from(Rule), needed=st.integers(1, 2))
def test_the_book_says_what_the_store_says(tmp_path_factory, actions, rule, needed):
    store = OutcomeStore(tmp_path_factory.mktemp("book") / "outcomes.db")
    judging = Judging(store, rule=DecisionRule(rule=rule, raters_needed=needed))
    for kind, *rest in actions:
        if kind == "say":
            say(judging, *rest)
        elif kind == "elsewhere":
            store.judge(*rest, rater="simulator")
        else:
            line = next((line for line in store.since() if line.id == rest[0]), None)
            if line is not None and line.withdraws is None:
                try:
                    judging.withdraw(line.id, rater=line.rater)
                except WithdrawnVerdictError:
                    continue
    judging._catch_up()
    expected = store.decisions(judging.rule)
    said = {uid: standing.decision for uid, standing in judging.standings.items()}
    assert {uid: decision for uid, decision in said.items() if decision.raters} == expected
    assert dict(judging.outcomes) == store.outcomes(judging.rule)
    assert judging.revision == len(store.since())
    store.close()
