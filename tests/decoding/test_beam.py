import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attnkit.decoding.beam import beam_search
from attnkit.decoding.greedy import greedy_search
from attnkit.decoding.hypothesis import Hypothesis
from attnkit.decoding.length_penalty import LengthPenalty, gnmt_penalty, no_penalty, power_penalty
from attnkit.decoding.rules import Rules
from attnkit.errors import CheckpointError
from tests.decoding.table_steps import (
    EOS,
    Table,
    TableSteps,
    by_history,
    by_position,
    exhaustive,
    random_table,
    rules_for,
)

PENALTIES = [no_penalty, gnmt_penalty(0.6), power_penalty(1.0)]


def beam(
    *tables: Table,
    rules: Rules,
    beam_size: int,
    length_penalty: LengthPenalty = no_penalty,
    n_best: int = 1,
) -> list[list[Hypothesis]]:
    return beam_search(TableSteps(*tables), rules, beam_size=beam_size, length_penalty=length_penalty, n_best=n_best)


def same(one: list[Hypothesis], other: list[Hypothesis]) -> bool:
    return [hypothesis.tokens for hypothesis in one] == [hypothesis.tokens for hypothesis in other] and all(
        math.isclose(a.score, b.score, rel_tol=1e-6) for a, b in zip(one, other, strict=True)
    )


def test_tensor2tensors_greedy_vector() -> None:
    table = by_position([[0.7, 0.3], [0.4, 0.6], [0.5, 0.5]])
    [[best]] = beam(table, rules=rules_for(3), beam_size=1)
    assert best.tokens == [0]
    assert best.finished
    assert math.exp(best.log_prob) == pytest.approx(0.42)
    assert [math.exp(log_prob) for log_prob in best.token_log_probs] == pytest.approx([0.7, 0.6])


def test_tensor2tensors_corner_case_nothing_finishes() -> None:
    table = by_position([[0.2, 0.1, 0.7], [0.4, 0.1, 0.5]])
    [[best]] = beam(table, rules=rules_for(2), beam_size=1)
    assert (best.tokens, best.finished) == ([2, 2], False)
    assert math.exp(best.log_prob) == pytest.approx(0.35)


def test_the_end_counts_only_among_the_first_k() -> None:
    # First step, k = 2: 2 (.5), 3 (.3) and the end (.2) third, where it does not count. Then both go on to the end.
    table = {
        (): [0.0, 0.2, 0.5, 0.3],
        (2,): [0.0, 0.1, 0.8, 0.1],  # .05 .40 .05
        (3,): [0.0, 0.9, 0.1, 0.0],  # .27 .03
    }
    hypotheses = beam(by_history(table), rules=rules_for(2), beam_size=2, n_best=2)[0]
    assert [hypothesis.tokens for hypothesis in hypotheses] == [[2, 2], [3]]
    assert [math.exp(hypothesis.score) for hypothesis in hypotheses] == pytest.approx([0.4, 0.27])


def test_a_finished_beam_is_replaced_from_the_second_half_of_the_candidates() -> None:
    # First step, k = 2: the end (.4) finishes, and both 2 (.3) and 3 (.2) live on: 3 was the third candidate.
    table = {
        (): [0.1, 0.4, 0.3, 0.2],
        (2,): [0.9, 0.05, 0.05, 0.0],
        (3,): [0.0, 1.0, 0.0, 0.0],
        (2, 0): [0.25, 0.25, 0.25, 0.25],
    }
    hypotheses = beam(by_history(table), rules=rules_for(9), beam_size=2, n_best=2)[0]
    assert [hypothesis.tokens for hypothesis in hypotheses] == [[], [3]]
    assert [math.exp(hypothesis.score) for hypothesis in hypotheses] == pytest.approx([0.4, 0.2])


def test_the_length_counts_the_end_and_the_best_by_score_wins() -> None:
    table = {
        (): [0.0, 0.5, 0.5],
        (2,): [0.0, 0.6, 0.4],
        (2, 2): [0.0, 1.0, 0.0],
    }

    def best(penalty: LengthPenalty) -> Hypothesis:
        return beam(by_history(table), rules=rules_for(4), beam_size=2, length_penalty=penalty)[0][0]

    assert best(no_penalty).tokens == []
    mean = best(power_penalty(1.0))
    assert mean.tokens == [2]
    assert mean.score == pytest.approx(math.log(0.3) / 2)
    assert mean.log_prob == pytest.approx(math.log(0.3))


def test_a_cut_hypothesis_counts_its_tokens() -> None:
    table = by_position([[0.0, 0.1, 0.9]])
    [[best]] = beam(table, rules=rules_for(3), beam_size=1, length_penalty=power_penalty(1.0))
    assert (best.tokens, best.finished) == ([2, 2, 2], False)
    assert best.score == pytest.approx(math.log(0.9))
    assert len(best.token_log_probs) == 3


def test_equal_candidates_are_taken_by_beam_then_by_id() -> None:
    table = by_position([[0.25, 0.25, 0.25, 0.25]])
    hypotheses = beam(table, rules=rules_for(2, forbidden_ids=(0,)), beam_size=3, n_best=3)[0]
    # First the end, 2 and 3; then beam 2: end, 2, 3; beam 3 only comes fourth.
    assert [hypothesis.tokens for hypothesis in hypotheses] == [[], [2], [2, 2]]


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("seed", range(4))
def test_a_wide_enough_beam_is_exhaustive(seed: int, penalty: LengthPenalty) -> None:
    table = random_table(3, seed)
    hypotheses = beam(table, rules=rules_for(4), beam_size=3**4, length_penalty=penalty, n_best=3**4)[0]
    expected = exhaustive(table, vocab_size=3, eos_id=EOS, max_length=4, length_penalty=penalty)
    assert [tuple(hypothesis.tokens) for hypothesis in hypotheses] == [tokens for _, tokens in expected]
    assert [hypothesis.score for hypothesis in hypotheses] == pytest.approx([score for score, _ in expected], rel=1e-5)


@given(
    seeds=st.lists(st.integers(0, 999), min_size=1, max_size=6, unique=True),
    vocab_size=st.integers(2, 7),
    beam_size=st.integers(1, 5),
    penalty=st.sampled_from(PENALTIES),
    data=st.data(),
)
@settings(max_examples=60, deadline=None)
def test_a_sentence_does_not_depend_on_its_batch(
    seeds: list[int], vocab_size: int, beam_size: int, penalty: LengthPenalty, data: st.DataObject
) -> None:
    limits = data.draw(st.lists(st.integers(1, 8), min_size=len(seeds), max_size=len(seeds)))
    prefixes = data.draw(
        st.lists(
            st.lists(st.integers(0, vocab_size - 1).filter(lambda token: token != EOS), max_size=3),
            min_size=len(seeds),
            max_size=len(seeds),
        )
    )
    tables = [random_table(vocab_size, seed) for seed in seeds]
    order = data.draw(st.permutations(range(len(seeds))))

    def search(members: list[int]) -> list[list[Hypothesis]]:
        rules = rules_for(*(limits[i] for i in members), min_length=1, prefixes=[prefixes[i] for i in members])
        return beam(
            *(tables[i] for i in members),
            rules=rules,
            beam_size=beam_size,
            length_penalty=penalty,
            n_best=beam_size,
        )

    together = search(list(range(len(seeds))))
    permuted = search(list(order))
    assert all(same(together[member], permuted[place]) for place, member in enumerate(order))
    assert all(same(together[member], search([member])[0]) for member in range(len(seeds)))


@given(seed=st.integers(0, 9999), vocab_size=st.integers(2, 9), beam_size=st.integers(1, 6), limit=st.integers(1, 9))
@settings(max_examples=60, deadline=None)
def test_every_hypothesis_scores_what_the_table_says(seed: int, vocab_size: int, beam_size: int, limit: int) -> None:
    table, penalty = random_table(vocab_size, seed), gnmt_penalty(0.6)
    hypotheses = beam(table, rules=rules_for(limit), beam_size=beam_size, length_penalty=penalty, n_best=beam_size)[0]
    assert hypotheses
    assert sorted((hypothesis.score for hypothesis in hypotheses), reverse=True) == [h.score for h in hypotheses]
    assert len({(tuple(hypothesis.tokens), hypothesis.finished) for hypothesis in hypotheses}) == len(hypotheses)
    for hypothesis in hypotheses:
        taken = [*hypothesis.tokens, EOS] if hypothesis.finished else hypothesis.tokens
        log_probs = [math.log(table(tuple(taken[:place]))[token]) for place, token in enumerate(taken)]
        assert EOS not in hypothesis.tokens
        assert hypothesis.finished or len(taken) == limit
        assert hypothesis.token_log_probs == pytest.approx(log_probs, abs=1e-5)
        assert hypothesis.log_prob == pytest.approx(sum(log_probs), abs=1e-4)
        assert hypothesis.score == pytest.approx(hypothesis.log_prob / penalty(len(taken)))


@given(seed=st.integers(0, 9999), vocab_size=st.integers(2, 9), limit=st.integers(1, 9), min_length=st.integers(0, 4))
@settings(max_examples=60, deadline=None)
def test_a_beam_of_one_is_greedy(seed: int, vocab_size: int, limit: int, min_length: int) -> None:
    table, rules = random_table(vocab_size, seed), rules_for(limit, min_length=min_length)
    assert same(beam(table, rules=rules, beam_size=1)[0], greedy_search(TableSteps(table), rules)[0])


@pytest.mark.parametrize("n_best", [1, 2, 4])
def test_the_first_of_n_is_the_best_of_one(n_best: int) -> None:
    table = random_table(11, 5)
    hypotheses = beam(table, rules=rules_for(7), beam_size=4, n_best=n_best)[0]
    assert len(hypotheses) == n_best
    assert same(hypotheses[:1], beam(table, rules=rules_for(7), beam_size=4)[0])


def test_forbidden_ids_and_the_minimum_hold_without_changing_probabilities() -> None:
    table = by_position([[0.4, 0.3, 0.2, 0.1]])
    rules = rules_for(5, forbidden_ids=(0, 2), min_length=2)
    [[best]] = beam(table, rules=rules, beam_size=1)
    assert (best.tokens, best.finished) == ([3, 3], True)
    assert [math.exp(log_prob) for log_prob in best.token_log_probs] == pytest.approx([0.1, 0.1, 0.3])


def test_a_minimum_above_the_maximum_gives_way() -> None:
    [[best]] = beam(by_position([[0.1, 0.8, 0.1]]), rules=rules_for(2, min_length=5), beam_size=2)
    assert (len(best.tokens), best.finished) == (2, False)


def test_a_prefix_is_part_of_the_output_and_of_its_length_but_certain() -> None:
    table = {
        (): [0.0, 0.9, 0.05, 0.05],
        (3,): [0.0, 0.9, 0.05, 0.05],
        (3, 2): [0.0, 0.6, 0.4, 0.0],
    }
    rules = rules_for(9, prefixes=[[3, 2]])
    [[best]] = beam(by_history(table), rules=rules, beam_size=1, length_penalty=power_penalty(1.0))
    assert best.tokens == [3, 2]
    assert best.token_log_probs == pytest.approx([0.0, 0.0, math.log(0.6)])
    assert best.score == pytest.approx(math.log(0.6) / 3)


def test_a_prefix_as_long_as_the_maximum_is_returned_as_it_is() -> None:
    [[best]] = beam(random_table(5, 1), rules=rules_for(2, prefixes=[[3, 2]]), beam_size=3)
    assert best == Hypothesis(tokens=[3, 2], score=0.0, log_prob=0.0, token_log_probs=[0.0, 0.0], finished=False)


def test_finished_sentences_leave_the_batch() -> None:
    at_once, never = by_position([[0.0, 1.0, 0.0]]), by_position([[0.5, 0.0, 0.5]])
    steps = TableSteps(at_once, never, at_once)
    found = beam_search(steps, rules_for(9, 4, 9), beam_size=2, length_penalty=no_penalty)
    assert [len(hypotheses[0].tokens) for hypotheses in found] == [0, 4, 0]
    assert steps.num_rows == [3, 2, 2, 2]


def test_no_sentences_no_hypotheses() -> None:
    assert beam(rules=rules_for(), beam_size=3) == []


@pytest.mark.parametrize("n_best", [0, 3])
def test_more_hypotheses_than_beams_are_refused(n_best: int) -> None:
    with pytest.raises(ValueError, match=rf"^n_best: {n_best} is not between 1 and beam_size, 2$"):
        beam(random_table(5, 1), rules=rules_for(2), beam_size=2, n_best=n_best)


def test_a_model_that_computes_nan_is_said() -> None:
    with pytest.raises(CheckpointError, match=r"^model: its output is not a number"):
        beam(by_position([[math.nan, 0.5, 0.5]]), rules=rules_for(2), beam_size=2)
