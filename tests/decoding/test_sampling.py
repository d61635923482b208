import math
from collections import Counter

import pytest

from attnkit.decoding.greedy import greedy_search
from attnkit.decoding.sampling import sample
from tests.decoding.table_steps import EOS, TableSteps, by_position, random_table, rules_for

PROBS = [0.05, 0.1, 0.3, 0.35, 0.2]


def first_tokens(num_draws: int = 8000, **options) -> dict[int, float]:
    """How often each token is drawn first, of one sentence that is cut after it."""
    steps = TableSteps(by_position([PROBS]))
    [draws] = sample(steps, rules_for(1), num_samples=num_draws, seed=7, **options)
    counts = Counter(draw.tokens[0] if draw.tokens else EOS for draw in draws)
    return {token: counts[token] / num_draws for token in sorted(counts)}


def test_draws_follow_the_probabilities() -> None:
    assert first_tokens() == pytest.approx(dict(enumerate(PROBS)), abs=0.02)


def test_temperature_sharpens() -> None:
    squares = [prob**2 for prob in PROBS]
    expected = {token: square / sum(squares) for token, square in enumerate(squares)}
    assert first_tokens(temperature=0.5) == pytest.approx(expected, abs=0.02)


def test_top_k_keeps_the_likeliest() -> None:
    assert first_tokens(top_k=2) == pytest.approx({2: 0.3 / 0.65, 3: 0.35 / 0.65}, abs=0.02)


@pytest.mark.parametrize(("top_p", "kept"), [(0.34, [3]), (0.36, [2, 3]), (0.64, [2, 3]), (0.66, [2, 3, 4])])
def test_top_p_keeps_the_fewest_that_reach_it(top_p: float, kept: list[int]) -> None:
    whole = sum(PROBS[token] for token in kept)
    assert first_tokens(top_p=top_p) == pytest.approx({token: PROBS[token] / whole for token in kept}, abs=0.02)


def test_top_p_counts_within_top_k() -> None:
    # Of the three likeliest, .85 in all, the first has .41: it alone does not reach .5, two do.
    assert sorted(first_tokens(top_k=3, top_p=0.5)) == [2, 3]
    assert sorted(first_tokens(top_k=3, top_p=0.4)) == [3]


def test_scores_are_those_of_the_model_itself() -> None:
    steps = TableSteps(by_position([PROBS]))
    for draw in sample(steps, rules_for(1), num_samples=20, temperature=3.0, top_k=4)[0]:
        assert math.exp(draw.score) == pytest.approx(PROBS[draw.tokens[0] if draw.tokens else EOS])


def test_forbidden_ids_are_never_drawn() -> None:
    steps = TableSteps(by_position([PROBS]))
    draws = sample(steps, rules_for(3, forbidden_ids=(3,), min_length=1), num_samples=500)[0]
    assert {token for draw in draws for token in draw.tokens} == {0, 2, 4}
    assert all(draw.tokens for draw in draws)


def test_a_sentence_does_not_depend_on_its_batch() -> None:
    tables = [random_table(6, seed) for seed in range(5)]
    limits, prefixes = [9, 4, 12, 1, 6], [[], [2], [], [], [5, 5]]
    together = sample(TableSteps(*tables), rules_for(*limits, prefixes=prefixes), num_samples=3, seed=11)
    for line, table in enumerate(tables):
        rules = rules_for(limits[line], prefixes=[prefixes[line]])
        assert sample(TableSteps(table), rules, num_samples=3, seed=11, stream_ids=[line]) == [together[line]]
    assert all(draw.tokens[:2] == [5, 5] for draw in together[4])


def test_a_longer_maximum_does_not_change_the_first_draws() -> None:
    table = by_position([[0.3, 0.0, 0.4, 0.3]])
    short, long = (sample(TableSteps(table), rules_for(limit), num_samples=1)[0][0] for limit in (5, 50))
    assert long.tokens[:5] == short.tokens


def test_seeds_and_sentences_draw_differently() -> None:
    table = by_position([[0.3, 0.0, 0.4, 0.3]])
    one, two = sample(TableSteps(table, table), rules_for(20, 20))
    [other] = sample(TableSteps(table), rules_for(20), seed=2)
    [negative] = sample(TableSteps(table), rules_for(20), seed=-1)
    assert len({tuple(found[0].tokens) for found in (one, two, other, negative)}) == 4


def test_draws_are_sorted_and_duplicates_kept() -> None:
    [draws] = sample(TableSteps(random_table(4, 3)), rules_for(6), num_samples=50)
    assert len(draws) == 50
    assert [draw.score for draw in draws] == sorted((draw.score for draw in draws), reverse=True)


def test_one_candidate_is_greedy() -> None:
    table = random_table(7, 2)
    assert sample(TableSteps(table), rules_for(9), top_k=1) == greedy_search(TableSteps(table), rules_for(9))


@pytest.mark.parametrize(
    "options", [{"temperature": 0.0}, {"top_k": -1}, {"top_p": 0.0}, {"top_p": 1.1}, {"num_samples": 0}]
)
def test_options_out_of_range_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"^sampling: temperature .*; expected temperature > 0, top_k >= 0, 0 < top_p"):
        sample(TableSteps(by_position([PROBS])), rules_for(1), **options)


def test_a_stream_for_each_sentence() -> None:
    with pytest.raises(ValueError, match=r"^stream_ids: 1 for 2 sentences$"):
        sample(TableSteps(by_position([PROBS]), by_position([PROBS])), rules_for(1, 1), stream_ids=[4])
